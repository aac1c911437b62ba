/* picture.c - walks through the blocks of pictures' files. Each looks only at bytes that are there. */
#include "picture.h"

#include "base/num.h"

static const unsigned char *at(str s, size_t i)
{
    return (const unsigned char *)s.ptr + i;
}

static uint32_t be32(const unsigned char *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static uint32_t le32(const unsigned char *p)
{
    return (uint32_t)p[3] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[1] << 8 | p[0];
}

static uint32_t be16(const unsigned char *p)
{
    return (uint32_t)p[0] << 8 | p[1];
}

static uint32_t le16(const unsigned char *p)
{
    return (uint32_t)p[1] << 8 | p[0];
}

static uint32_t le24(const unsigned char *p)
{
    return le16(p) | (uint32_t)p[2] << 16;
}

static bool has(str s, size_t i, str what)
{
    return i <= s.len && str_starts(str_from(s, i), what);
}

/* The header behind the file's own says how long it is, and there are not many. */
static bool is_bmp(str head)
{
    uint32_t size = head.len >= 18 ? le32(at(head, 14)) : 0;

    return has(head, 0, S("BM")) &&
           (size == 12 || size == 40 || size == 52 || size == 56 || size == 64 || size == 108 || size == 124);
}

enum picture_format picture_format(str head)
{
    if (has(head, 0, S("\x89PNG\r\n\x1a\n")))
        return PICTURE_PNG;
    if (has(head, 0, S("\xff\xd8\xff")))
        return PICTURE_JPEG;
    if (has(head, 0, S("GIF87a")) || has(head, 0, S("GIF89a")))
        return PICTURE_GIF;
    if (has(head, 0, S("RIFF")) && has(head, 8, S("WEBP")))
        return PICTURE_WEBP;
    if (has(head, 0, S("II*\0")) || has(head, 0, S("MM\0*")))
        return PICTURE_TIFF;
    return is_bmp(head) ? PICTURE_BMP : PICTURE_NONE;
}

const char *picture_format_name(enum picture_format f)
{
    static const char *const names[] = {
        [PICTURE_NONE] = "unknown", [PICTURE_PNG] = "png", [PICTURE_JPEG] = "jpeg", [PICTURE_GIF] = "gif",
        [PICTURE_WEBP] = "webp",    [PICTURE_BMP] = "bmp", [PICTURE_TIFF] = "tiff",
    };

    return names[f];
}

/* Chunks: length, type, data, checksum. acTL says how many frames there are, each fcTL how long one stays. */
static void png_read(str s, struct picture *p)
{
    size_t i = 8;

    while (s.len - i >= 12) {
        uint32_t len = be32(at(s, i));

        if (len > s.len - i - 12)
            return;
        if (has(s, i + 4, S("acTL")) && len >= 8)
            p->frames = max_i64(be32(at(s, i + 8)), 1);
        if (has(s, i + 4, S("fcTL")) && len >= 26) {
            uint32_t parts = be16(at(s, i + 8 + 22));

            p->duration_ms += (int64_t)be16(at(s, i + 8 + 20)) * 1000 / (parts ? parts : 100);
        }
        if (has(s, i + 4, S("IEND"))) {
            p->complete = true;
            return;
        }
        i += len + 12;
    }
}

/* Segments up to the scans, in which ff is followed by 00 or a restart marker. */
static void jpeg_read(str s, struct picture *p)
{
    size_t i = 2;
    bool   scan = false;

    while (i + 2 <= s.len) {
        unsigned char marker = *at(s, i + 1);

        if (*at(s, i) != 0xff || marker == 0 || marker == 0xff || (marker >= 0xd0 && marker <= 0xd7)) {
            if (!scan && marker != 0xff && *at(s, i) != 0xff)
                return; /* no segment: broken, as the decoder will say */
            i++;
            continue;
        }
        if (marker == 0xd9) {
            p->complete = true;
            return;
        }
        if (i + 4 > s.len)
            return;
        scan = marker == 0xda;
        i += 2 + be16(at(s, i + 2));
    }
}

/* The index behind blocks of at most 255 bytes, each after its length; 0 when the end is missing. */
static size_t gif_blocks(str s, size_t i)
{
    while (i < s.len) {
        size_t len = *at(s, i);

        i += len + 1;
        if (len == 0)
            return i;
    }
    return 0;
}

static size_t gif_colours(unsigned char flags)
{
    return flags & 0x80 ? (size_t)3 << ((flags & 7) + 1) : 0;
}

static void gif_read(str s, struct picture *p)
{
    size_t i;

    p->frames = 0;
    if (s.len < 13)
        return;
    i = 13 + gif_colours(*at(s, 10));
    while (i && i < s.len && !p->complete) {
        switch (*at(s, i)) {
        case 0x21:
            if (i + 8 <= s.len && *at(s, i + 1) == 0xf9)
                p->duration_ms += 10 * (int64_t)le16(at(s, i + 4));
            i = gif_blocks(s, i + 2);
            break;
        case 0x2c:
            if (i + 11 > s.len)
                return;
            i = gif_blocks(s, i + 11 + gif_colours(*at(s, i + 9)));
            p->frames++;
            break;
        case 0x3b:
            p->complete = true;
            break;
        default:
            return;
        }
    }
}

static void webp_read(str s, struct picture *p)
{
    size_t  i = 12;
    int64_t frames = 0;

    if (s.len < 12)
        return;
    p->complete = (uint64_t)le32(at(s, 4)) + 8 <= s.len;
    while (i + 8 <= s.len) {
        uint32_t len = le32(at(s, i + 4));

        if (len > s.len - i - 8)
            break;
        if (has(s, i, S("VP8X")) && len >= 10 && *at(s, i + 8) & 2) {
            p->width = le24(at(s, i + 12)) + 1;
            p->height = le24(at(s, i + 15)) + 1;
        }
        if (has(s, i, S("ANMF")) && len >= 16) {
            frames++;
            p->duration_ms += le24(at(s, i + 8 + 12));
        }
        i += 8 + (size_t)len + (len & 1);
    }
    p->frames = max_i64(frames, 1);
}

/* The length in its head; some writers leave 0 there, then the decoder says whether the rows are there. */
static void bmp_read(str s, struct picture *p)
{
    p->complete = s.len >= 18 && le32(at(s, 2)) <= s.len;
}

/* The last strip ends inside of the file. Only the first picture in it is looked at, as by the decoder. */
static void tiff_read(str s, struct picture *p)
{
    bool     big = has(s, 0, S("MM"));
    uint32_t ifd, count, starts = 0, sizes = 0, strips = 0, start_type = 0, size_type = 0;

#define U16(i) (big ? be16(at(s, i)) : le16(at(s, i)))
#define U32(i) (big ? be32(at(s, i)) : le32(at(s, i)))
    if (s.len < 8)
        return;
    ifd = U32(4);
    if ((uint64_t)ifd + 2 > s.len)
        return;
    count = U16(ifd);
    if ((uint64_t)ifd + 2 + (uint64_t)count * 12 > s.len)
        return;
    for (uint32_t n = 0; n < count; n++) {
        size_t   entry = (size_t)ifd + 2 + (size_t)n * 12;
        uint32_t tag = U16(entry), type = U16(entry + 2), many = U32(entry + 4);
        size_t   width = type == 3 ? 2 : 4;
        uint32_t where = (uint64_t)many * width <= 4 ? (uint32_t)entry + 8 : U32(entry + 8);

        if (tag == 273) {
            starts = where;
            start_type = type;
            strips = many;
        } else if (tag == 279) {
            sizes = where;
            size_type = type;
        }
    }
    p->complete = true; /* tiles, or nothing: the decoder says */
    for (uint32_t n = 0; n < strips && starts && sizes && p->complete; n++) {
        uint64_t a = starts + (uint64_t)n * (start_type == 3 ? 2 : 4),
                 b = sizes + (uint64_t)n * (size_type == 3 ? 2 : 4);

        p->complete = a + 4 <= s.len && b + 4 <= s.len;
        if (p->complete)
            p->complete = (uint64_t)(start_type == 3 ? U16(a) : U32(a)) + (size_type == 3 ? U16(b) : U32(b)) <= s.len;
    }
#undef U16
#undef U32
}

/* What the head says, where it says it at a fixed place: also of a picture that is too large to be decoded. */
static void head_size(enum picture_format f, str s, struct picture *p)
{
    if (f == PICTURE_PNG && s.len >= 24) {
        p->width = be32(at(s, 16));
        p->height = be32(at(s, 20));
    } else if (f == PICTURE_GIF && s.len >= 10) {
        p->width = le16(at(s, 6));
        p->height = le16(at(s, 8));
    } else if (f == PICTURE_BMP && s.len >= 26) {
        p->width = le32(at(s, 18));
        p->height = le32(at(s, 22)) & 0x7fffffff; /* negative: from the top down */
    }
}

struct picture picture_read(enum picture_format f, str file)
{
    struct picture p = { .frames = 1 };

    switch (f) {
    case PICTURE_PNG:
        png_read(file, &p);
        break;
    case PICTURE_JPEG:
        jpeg_read(file, &p);
        break;
    case PICTURE_GIF:
        gif_read(file, &p);
        break;
    case PICTURE_WEBP:
        webp_read(file, &p);
        break;
    case PICTURE_BMP:
        bmp_read(file, &p);
        break;
    case PICTURE_TIFF:
        tiff_read(file, &p);
        break;
    case PICTURE_NONE:
        break;
    }
    if (!p.width)
        head_size(f, file, &p);
    if (p.frames <= 1)
        p.duration_ms = 0;
    return p;
}
