/* media_service.h - the image, video and people services as data: what a call may hold, which row refuses what, what a result
 * looks like, and which operation of the media engine makes it.
 *
 * The tables come from data/media (tools/gen_media.py; how a service is written stands at the head of data/media/image.txt). One
 * walker reads every body against them: media_call_read(). What has to be looked at to be judged is judged later, by
 * media_file_check() of service/media.h, with what the media engine has found.
 *
 * Spec: media.md §0.3, §0.6, §3-§6.
 */
#ifndef DASHBOX_CONTRACT_MEDIA_SERVICE_H
#define DASHBOX_CONTRACT_MEDIA_SERVICE_H

#include "contract/errors.gen.h"
#include "contract/json.h"
#include "contract/media.h"
#include "contract/model.h"
#include "contract/request.h"

#define MEDIA_MEMBERS_MAX 40 /* of one service */

enum media_mode {
    MEDIA_SYNC,
    MEDIA_ASYNC,
    MEDIA_EITHER,
    MEDIA_LOOK, /* no service: what chat looks at (service/vision.h); its members are message.image, message.video, … */
};

/* Where texts and pictures stand in a body. */
enum media_body {
    MEDIA_BODY_INPUT,    /* members of "input" */
    MEDIA_BODY_MESSAGES, /* one message of "input.messages", whose content has {"text"} and {"image"} parts */
};

enum media_type {
    MEDIA_TEXT,
    MEDIA_INT,
    MEDIA_NUM,
    MEDIA_BOOL,
    MEDIA_CHOICE, /* a text, or a number, out of a list */
    MEDIA_SIZE,   /* "1024*768", or a word of `choices` */
    MEDIA_LIST,   /* an array; of `choices`, or of what is not looked at */
    MEDIA_OBJECT,
    MEDIA_ANY,
    MEDIA_BOX,  /* left, upper, right and lower edge, whole numbers */
    MEDIA_FILE, /* a URL, or with count_max > 1 an array of them */
};

/* What the runner itself needs a member for. */
enum media_role {
    MEDIA_ROLE_NONE,
    MEDIA_ROLE_PROMPT,
    MEDIA_ROLE_NEGATIVE,
    MEDIA_ROLE_COUNT, /* how many results */
    MEDIA_ROLE_SEED,
    MEDIA_ROLE_SIZE,
    MEDIA_ROLE_TIER,     /* "720P": a row of the service's size table */
    MEDIA_ROLE_RATIO,    /* "16:9": a column of it */
    MEDIA_ROLE_DURATION, /* seconds of the result */
    MEDIA_ROLE_FPS,
    MEDIA_ROLE_WATERMARK,
    MEDIA_ROLE_EXTEND,      /* whether the prompt may be rewritten */
    MEDIA_ROLE_SOUND,       /* whether a video has sound */
    MEDIA_ROLE_BOX,         /* whose shape, as a row of the size table, the result has */
    MEDIA_ROLE_TEMPLATE,    /* of movements */
    MEDIA_ROLE_ASKED_RATIO, /* whether MEDIA_ROLE_RATIO counts */
    MEDIA_ROLE_LENGTHEN,    /* a video to its sound, where it would be as long as the shorter of both */
    MEDIA_ROLE_THRESHOLD,   /* of faces that are one person's */
    MEDIA_ROLE_GARMENTS,    /* a list: a result each, which shows where it is worn */
    MEDIA_ROLE_SIDE,        /* the shorter side of the result */
};

/* A row of the error reference with what its words are filled with; `error` 0 (no row): there is no such rule. */
struct media_refusal {
    enum error_number error;
    bool              set;
    unsigned          arg_count;
    struct {
        str name, value;
    } args[3];
};

struct media_range {
    bool   set, low_open, high_open;
    double low, high; /* high: HUGE_VAL when there is none */
};

/* What can be wrong with a file. */
enum media_fault {
    MEDIA_FAULT_DOWNLOAD, /* whatever has no row of its own */
    MEDIA_FAULT_URL,
    MEDIA_FAULT_REFUSED,
    MEDIA_FAULT_TIMEOUT,
    MEDIA_FAULT_DENIED,
    MEDIA_FAULT_GONE,       /* 404 */
    MEDIA_FAULT_UNKNOWN,    /* it is no medium at all */
    MEDIA_FAULT_UNREADABLE, /* it cannot be decoded */
    MEDIA_FAULT_FORMAT,
    MEDIA_FAULT_BYTES,
    MEDIA_FAULT_SIDES,
    MEDIA_FAULT_PIXELS,
    MEDIA_FAULT_RATIO,
    MEDIA_FAULT_DURATION,
    MEDIA_FAULT_FPS,
    MEDIA_FAULT_CODEC,
    MEDIA_FAULT_ALPHA,
    MEDIA_FAULT_DARK,
    MEDIA_FAULT_CONTENT_TYPE, /* that the server says */
    MEDIA_FAULT_NO_LENGTH,    /* it does not say one */
    MEDIA_FAULT_COUNT
};

struct media_member {
    str                  path; /* "input.image_url", "message.image" */
    str                  name; /* its last part */
    enum media_type      type;
    enum media_role      role;
    bool                 required;
    str                  as;           /* what the render request calls it; empty: not there */
    str                  default_text; /* in JSON; empty: none */
    struct media_range   range;        /* of numbers; of the pixels of a size: `pixels` */
    const str           *choices;      /* of MEDIA_CHOICE; words of MEDIA_SIZE */
    unsigned             choice_count;
    int64_t              length_max;           /* code points of a text, which is cut behind them; 0: any */
    int64_t              count_min, count_max; /* of an array, or of parts of a message */
    struct media_refusal missing, wrong_type, out_of_range, wrong_count;
    /* files, and sizes */
    enum media_kind      kind;
    const str           *formats;
    unsigned             format_count;
    const str           *codecs;
    unsigned             codec_count;
    const str           *content_types; /* of an answer to http; none: any */
    unsigned             content_type_count;
    bool                 length_needed; /* Content-Length must be there */
    struct media_range   bytes, sides, pixels, ratio, seconds, fps, brightness;
    int                  alpha;  /* 1: must have it, -1: must not */
    bool                 unread; /* it is not handed to the renderer */
    bool                 array;  /* or an array of URLs */
    bool                 joined; /* of a list: not each item is one of the choices, but all with commas between them */
    bool                 first_only; /* of several only the first is */
    bool                 leads;      /* the result follows its ratio */
    bool                 beside; /* of media.x: stands beside the "url" of an item, and does not count for the set */
    unsigned             same_count; /* the member, from 1, that has as many; 0: any. wrong_count is its row too */
    unsigned             same_size;  /* the member, from 1, whose picture is as large; 0: none */
    struct media_refusal other_size;
    struct media_refusal faults[MEDIA_FAULT_COUNT];
    str                  people;    /* the list of contract/people.h; empty: nobody is looked for */
    str                  people_if; /* only when that member is true */
    str                  match;     /* the member whose video must show its face; empty: none */
    struct media_refusal mismatch;
    const str           *said; /* what an output says for each of the choices; NULL: the same */
};

/* What a video's length is that of, when no member says it. */
enum media_length {
    MEDIA_LENGTH_NONE,
    MEDIA_LENGTH_VIDEO,
    MEDIA_LENGTH_SOUND,
    MEDIA_LENGTH_SHORTER,
    MEDIA_LENGTH_TEMPLATE
};

/* A row of a size table: "720P" and "16:9" are 1280*720. */
struct media_tier {
    str     tier, ratio;
    int64_t width, height;
};

/* Which operations a value of a member means. */
struct media_way {
    str value, render;
};

struct media_service {
    str                      name;
    str                      models; /* patterns, parted by blanks */
    enum model_path          path;
    str                      case_path, case_value; /* it is for bodies that have this value there; empty: for all */
    enum media_mode          mode;
    enum media_body          body;
    bool                     parameters_required;
    str                      output, usage; /* templates: service/media_run.c */
    str                      refused;       /* the output of a file that was refused; empty: the call is refused */
    str                      reason;        /* each file is judged for itself: what is said of one that was refused */
    double                   area;          /* of ext_bbox, in faces */
    enum media_length        length;
    str                      render;   /* the operations, parted by blanks: each makes a file; empty: nothing is made */
    bool                     by_media; /* the types in input.media, parted by dots, decide; others are refused */
    unsigned                 by;       /* the member that decides among `ways` instead */
    const struct media_way  *ways;
    unsigned                 way_count;
    str                      file;                    /* "png", "jpeg", "mp4" */
    str                      watermark;               /* its text */
    int64_t                  size_width, size_height; /* when nothing says it */
    int64_t                  follow_pixels; /* the size has the last picture's ratio, and about so many pixels; 0: no */
    int64_t                  short_side;    /* the size has the first picture's ratio and this shorter side; 0: no */
    int64_t                  at_most;       /* pixels: that of the leading file, unless it has more; 0: no */
    bool                     floor;         /* sides are rounded down */
    bool                     sound, keep_sound; /* a video has it always; has that of its clip */
    int64_t                  seconds_max;       /* a video is as long as the leading one, at most so long; 0: no */
    bool                     exact;             /* a tier is its size whatever the ratio of the pictures */
    int64_t                  multiple;          /* of which sides are */
    int64_t                  fps, seconds;      /* of a video, when nothing says it */
    const struct media_tier *tiers;
    unsigned                 tier_count;
    const struct media_member *members;
    unsigned                   member_count;
    uint64_t                   one_of; /* bits of the members of which at least one must be there */
    struct media_refusal       none_of;
    uint64_t                   together; /* bits of members whose files, counted together, are so many */
    int64_t                    together_min, together_max;
    struct media_refusal       media_wrong; /* an illegal set of input.media */
    struct media_refusal       messages_missing, messages_count, content_count, part_wrong; /* of MEDIA_BODY_MESSAGES */
    struct media_refusal       failed, unstored;                                            /* the engine, the disk */
    bool                       partial;   /* its results are a list, in which some may have failed (media.md §1.1) */
    struct media_refusal       moderated; /* the text in a picture; not set: as texts are refused */
    /* MEDIA_LOOK, what a model counts (chat.md §10.2-§10.4): the side of a patch, pixels of a picture, of a video's frame and of all its
     * frames, tokens of a second of sound */
    double patch, pixels_min, pixels_max, video_pixels, video_total, audio_tokens;
};

extern const struct media_service media_services[];
extern const unsigned             media_service_count;

/* What chat looks at for the model; NULL: nothing. */
const struct media_service *media_look_find(str model);

/* The first whose patterns and whose case fit; NULL: none on that path. */
const struct media_service *media_service_find(str model, enum model_path path, yyjson_val *body);

/* ---- a body that has been read ---- */

struct media_value {
    bool        set;  /* by the client, or by a default */
    yyjson_val *json; /* as the client sent it; NULL with a default */
    str         text; /* texts, choices */
    double      number;
    bool        yes;
    int64_t     width, height; /* sizes; 0 with a word */
    const str  *urls;
    size_t      url_count;
};

struct media_call {
    const struct media_service *service;
    struct media_value          values[MEDIA_MEMBERS_MAX]; /* as the members stand */
    str                         set; /* of input.media: "first_frame.last_frame", as the members stand */
};

/* Reads the body, and refuses what can be refused without its files. Required members come first, then all in the table's order. */
enum err media_call_read(struct request *rq, const struct media_service *s, yyjson_val *body, struct media_call *ret);

/* The value of the member with that role; NULL: it is not set, or there is none. */
const struct media_value *media_call_value(const struct media_call *c, enum media_role role);

/* Refuses with the row; its words are what the rule says, or the member's name, the file's URL, the value. */
enum err media_refuse(struct request *rq, const struct media_refusal *r, const struct media_member *m, str url,
                      const struct media_value *v);

/* Whether the number lies in the range; one that is not set takes all. */
bool media_in_range(const struct media_range *r, double v);

#endif
