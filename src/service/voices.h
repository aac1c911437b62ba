/* voices.h - voices that clients have made: cloned from a sample of sound, or designed by a description.
 *
 * A cloned voice follows what its sample measures: pitch, tempo, brightness (engine/speech). A designed one follows the words of its
 * description (data/params/customization.txt). Each speaks with the model that it was made for, and for its workspace.
 *
 * Spec: speech.md §3.6, §3.7, §4.4.
 */
#ifndef DASHBOX_SERVICE_VOICES_H
#define DASHBOX_SERVICE_VOICES_H

#include "contract/json.h"
#include "contract/request.h"
#include "engine/speech/speech.h"
#include "store/assets.h"

enum voice_family { VOICE_COSYVOICE, VOICE_QWEN_CLONE, VOICE_QWEN_DESIGN, VOICE_FAMILIES };

/* Of struct asset. */
extern const str voice_kinds[VOICE_FAMILIES];

/* The sound of a voice by its name: a stock voice of the model, else one of the workspace's own that was made for it.
 * ERR_NOT_FOUND: there is none. */
SUSPENDS enum err voices_find(struct request *rq, str model, str name, struct voice_sound *ret);

/* What the sample at the URL (or data URI) measures, as the body of an asset: ,"pitch_hz":… members. `text`: what is said in it, or
 * empty. REF: E164, E250, E183, E184, E185, E180, E181, E251. */
SUSPENDS enum err voices_measure(struct request *rq, enum voice_family family, str url, str text, struct buf *body);

/* The same of a description. */
void voices_design(str prompt, struct buf *body);

/* The sound that such a body means. */
void voices_sound(yyjson_val *body, str id, struct voice_sound *ret);

#endif
