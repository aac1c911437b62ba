// people_pictures.mjs - pictures of people for tests: the photographs of npm's @vladmandic/face-api, and the two pictures that
// @vladmandic/human has inside for its own start, cut, turned, darkened and combined by ffmpeg.
//
//      node test/people_pictures.mjs FOLDER                 makes all of them there, as JPEG
//      node test/people_pictures.mjs --medium NAME HOW      writes one file for a service: medium()
import { execFile, execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const packages = fileURLToPath(new URL("../engines/people/node_modules/@vladmandic/", import.meta.url));

export const havePeople = existsSync(packages);

// A face of 256 × 256 pixels; and the whole of a woman who stands, 1200 × 1200.
function startPictures() {
  const code = readFileSync(join(packages, "human/dist/human.node-wasm.js"), "latin1");
  return [...code.matchAll(/\/9j\/(?:[A-Za-z0-9+/=\s]|\\n){1000,}/g)].map(found =>
    Buffer.from(found[0].replace(/\\n|\s/g, ""), "base64"),
  );
}

// name: [source, filters]. Sources 1 to 6 are photographs of three to five women each.
const PICTURES = {
  portrait: [1, "crop=620:900:200:300"],
  another: [6, "crop=420:620:120:420"],
  face: ["face", "scale=512:512"],
  body: ["body", "null"],
  half: ["body", "crop=1200:700:0:0"],
  several: [6, "scale=1280:-2"],
  nobody: [1, "crop=600:420:0:0"],
  dark: [1, "crop=620:900:200:300,lutrgb=r=val*0.08:g=val*0.08:b=val*0.08"],
  small: [1, "crop=620:900:200:300,scale=180:-2,pad=1280:1280:550:500:gray"],
  turned: [2, "crop=700:1000:100:40"],
  cut: [1, "crop=620:700:200:500"],
  blurred: [1, "crop=620:900:200:300,boxblur=6"],
  hidden: ["body", "drawbox=530:20:130:160:0x7a6545:fill"],
  back: [4, "crop=560:1448:0:0,pad=740:1448:0:0:gray"],
  sitting: [3, "crop=940:1200:0:150"],
  legs_cut: ["body", "crop=1200:960:0:0"],
  small_body: ["body", "scale=240:-2,pad=1200:1200:500:500:0xf0f0f0"],
  dark_body: ["body", "lutrgb=r=val*0.08:g=val*0.08:b=val*0.08"],
  blurred_body: ["body", "boxblur=12"],
  leaning: ["body", "rotate=PI/4:c=0xf0f0f0"],
};

export const pictureNames = Object.keys(PICTURES);

// The picture as JPEG, or with other options of ffmpeg for its output.
export function makePicture(name, output = ["-f", "mjpeg", "-q:v", "2"], more = "") {
  const [source, filters] = PICTURES[name];
  const folder = mkdtempSync(join(tmpdir(), "dashbox-people-"));
  try {
    let file = join(packages, `face-api/demo/sample${source}.jpg`);
    if (typeof source === "string") {
      file = join(folder, "source.jpg");
      writeFileSync(file, startPictures()[source === "face" ? 0 : 1]);
    }
    return execFileSync(
      "ffmpeg",
      ["-v", "error", "-i", file, "-vf", more ? `${filters},${more}` : filters, "-frames:v", "1", ...output, "-"],
      { maxBuffer: 1 << 28 },
    );
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const media = new Map();

// A file for a service, made when it is first asked for: "portrait.jpg", with `how` "scale=300:-2" as a further filter; "body.mp4", a still
// of "3,25,scale=720:-2": seconds, frames a second, a filter; "sine.mp3", of "3" seconds; "padded.jpg" and "large.wav", with so many
// bytes more than they need; "text.mp4", which is none.
export function medium(name, how = "") {
  const key = `${name}?${how}`;
  if (!media.has(key)) media.set(key, makeMedium(...name.split("."), how));
  return media.get(key);
}

function makeMedium(base, ext, how) {
  if (base === "text") return Buffer.from("this is no medium\n");
  if (base === "large") return Buffer.concat([medium("sine.wav", "1"), Buffer.alloc(Number(how))]);
  if (base === "padded") return Buffer.concat([medium("portrait.jpg"), Buffer.alloc(Number(how))]);
  if (ext === "jpg") return makePicture(base, undefined, how);
  if (ext === "gif") return makePicture(base, ["-f", "gif"], how);
  const folder = mkdtempSync(join(tmpdir(), "dashbox-people-"));
  const file = join(folder, `medium.${ext}`);
  const ffmpeg = (...words) => execFileSync("ffmpeg", ["-v", "error", ...words, file]);
  try {
    if (base === "sine") {
      ffmpeg("-f", "lavfi", "-i", `sine=440:d=${how || 3}`);
    } else {
      const [seconds, fps, filter] = how.split(",");
      writeFileSync(`${file}.jpg`, medium(`${base}.jpg`));
      ffmpeg("-loop", "1", "-framerate", fps, "-i", `${file}.jpg`, "-t", seconds, "-vf", filter, "-pix_fmt", "yuv420p");
    }
    return readFileSync(file);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const later = new Map();
let last = Promise.resolve();

// The same as a promise, made by a process of its own: for whoever has others waiting.
export function mediumLater(name, how = "") {
  const [base] = name.split(".");
  if (base === "large") return mediumLater("sine.wav", "1").then(file => Buffer.concat([file, Buffer.alloc(Number(how))]));
  if (base === "padded") return mediumLater("portrait.jpg").then(file => Buffer.concat([file, Buffer.alloc(Number(how))]));
  const key = `${name}?${how}`;
  if (!later.has(key)) {
    const words = [fileURLToPath(import.meta.url), "--medium", name, how];
    const make = () =>
      new Promise((resolve, reject) =>
        execFile(process.execPath, words, { encoding: "buffer", maxBuffer: 1 << 28 }, (error, file) =>
          error ? reject(error) : resolve(file),
        ),
      );
    later.set(key, last.then(make, make)); // one after the other
    last = later.get(key);
  }
  return later.get(key);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  if (process.argv[2] === "--medium") process.stdout.write(medium(...process.argv.slice(3)));
  else
    for (const name of pictureNames) writeFileSync(join(process.argv[2], `${name}.jpg`), makePicture(name));
}
