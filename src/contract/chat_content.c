/* chat_content.c - reads the content of messages.
 *
 * Spec: chat.md §3.3, §5.1, §5.4, §5.5, §5.7, §5.8, §6.1, §9.5, §9.7-9.9; wire-forms.md §8.
 */
#include "contract/chat_content.h"

#include "contract/media_params.gen.h"

/* ---- URLs ---- */

static bool is_data_uri(str url)
{
    return str_starts_nocase(url, S("data:"));
}

/* A host behind the scheme, and nothing that no URL has. */
static bool url_ok(str url)
{
    str rest = str_from(url, str_find_str(url, S("://")) + 3);

    for (size_t i = 0; i < url.len; i++) {
        if ((unsigned char)url.ptr[i] <= ' ')
            return false;
    }
    return rest.len && !str_starts(rest, S("/")) && !str_starts(rest, S("?")) && !str_starts(rest, S("#"));
}

bool chat_resolves_uploads(const struct request *rq)
{
    return str_eq(request_header(rq, S("x-dashscope-ossresourceresolve")), S("enable"));
}

/* REF: E041. What an SDK should have turned into one of these (a local path, file://) is refused. */
enum err chat_check_media_url(struct request *rq, str url)
{
    if (str_starts_nocase(url, S("http://")) || str_starts_nocase(url, S("https://")))
        return url_ok(url) ? OK : fail_media_url_invalid(&rq->fault);
    if (is_data_uri(url)) {
        size_t comma = str_find(str_first(url, 256), ',');

        if (comma == STR_NONE || !str_ends(str_first(url, comma), S(";base64")) || url.len == comma + 1)
            return fail_media_url_invalid(&rq->fault);
        if (url.len > CHAT_DATA_URI_MAX)
            return fail_data_uri_too_large(&rq->fault); /* REF: E045a */
        return OK;
    }
    if (str_starts(url, S("oss://")) && chat_resolves_uploads(rq))
        return OK; /* the name of a file may stand in it, as it is called; whether it is there is the service's question */
    return fail_media_url_invalid(&rq->fault);
}

static enum err check_url_list(struct request *rq, yyjson_val *list)
{
    size_t      i, n;
    yyjson_val *url;

    yyjson_arr_foreach(list, i, n, url)
    {
        enum err e = yyjson_is_str(url) ? chat_check_media_url(rq, json_str(url)) : fail_media_url_invalid(&rq->fault);

        if (e)
            return e;
    }
    return OK;
}

/* ---- items ---- */

struct modality {
    const char         *key;    /* native */
    const char         *type;   /* OpenAI's `type`, under which the value stands */
    const char         *member; /* … and the member of that object with the URL; NULL: it is the value itself */
    enum chat_part_kind kind;
    enum model_modality in; /* what the model must take for it */
};

static const struct modality modalities[] = {
    { "text", "text", NULL, CHAT_PART_TEXT, MODEL_TEXT },
    { "image", "image_url", "url", CHAT_PART_IMAGE, MODEL_IMAGE },
    { "video", "video", NULL, CHAT_PART_VIDEO, MODEL_VIDEO },
    { NULL, "video_url", "url", CHAT_PART_VIDEO, MODEL_VIDEO },
    { "audio", "input_audio", "data", CHAT_PART_AUDIO, MODEL_AUDIO },
    { "file", "file", NULL, CHAT_PART_FILE, MODEL_TEXT },
    { "doc_url", "doc_url", NULL, CHAT_PART_FILE, MODEL_TEXT },
};

/* The modality of an item, and its value. Native items have one modality key, and may have a "type" beside it (chat.md
 * §3.3); OpenAI's are named by their type. NULL when it is none, or several. */
static const struct modality *item_modality(yyjson_val *item, enum chat_content_form form, yyjson_val **ret)
{
    const struct modality *found = NULL;
    str                    type = json_str(json_get(item, "type"));

    for (size_t i = 0; i < ARRAY_LEN(modalities); i++) {
        const struct modality *m = &modalities[i];
        yyjson_val            *v = NULL;

        if (form == CHAT_CONTENT_OPENAI)
            v = str_eq(type, str_from_cstr(m->type)) ? json_get(item, m->type) : NULL;
        else if (m->key)
            v = json_get(item, m->key);
        if (!v)
            continue;
        if (found)
            return NULL;
        found = m;
        *ret = v;
    }
    return found;
}

/* A user's own model may say nothing of what it takes. */
static bool model_takes(const struct model *m, const struct modality *modality)
{
    if (modality->kind == CHAT_PART_FILE)
        return m->task == MODEL_TASK_DOCUMENT_CHAT;
    return modality->kind == CHAT_PART_TEXT || !m->in || (m->in & BIT(modality->in));
}

static enum err read_options(struct request *rq, yyjson_val *item, yyjson_val *value, enum chat_content_form form,
                             const struct model *model, struct chat_part *part)
{
    bool     native = form != CHAT_CONTENT_OPENAI;
    enum err e = OK;

    if (part->kind == CHAT_PART_IMAGE) {
        e = params_read(rq, native ? &media_params_native_image : &media_params_openai_image, item, model,
                        &part->options);
        if (!e && !native && yyjson_is_obj(value))
            e = params_read(rq, &media_params_openai_image_url, value, model, &part->options);
    } else if (part->kind == CHAT_PART_VIDEO) {
        e = params_read(rq, native ? &media_params_native_video : &media_params_openai_video, item, model,
                        &part->options);
    }
    return e;
}

/* A document: one, or a list of URLs and how they are to be read. */
static enum err read_file(struct request *rq, yyjson_val *item, yyjson_val *v, struct chat_part *part)
{
    yyjson_val *strategy = json_get(item, "file_parsing_strategy");

    if (strategy && !yyjson_is_str(strategy))
        return fail_string_expected(&rq->fault, S("file_parsing_strategy"));
    part->file_parsing_strategy = json_str(strategy);
    if (yyjson_is_arr(v)) {
        part->urls = v;
        return yyjson_arr_size(v) ? check_url_list(rq, v) : fail_media_url_invalid(&rq->fault);
    }
    part->text = json_str(v);
    return part->text.len && !str_starts(part->text, S("fileid://")) ? chat_check_media_url(rq, part->text) : OK;
}

bool chat_is_cache_mark(yyjson_val *item)
{
    return str_eq(json_str(json_get(json_get(item, "cache_control"), "type")), S("ephemeral"));
}

static enum err read_part(struct request *rq, yyjson_val *item, enum chat_content_form form, const struct model *model,
                          enum chat_role role, struct chat_part *part)
{
    yyjson_val            *value = NULL, *v;
    const struct modality *m = item_modality(item, form, &value);
    bool                   only_text = role == CHAT_SYSTEM || role == CHAT_ASSISTANT;
    enum err               e;

    if (!m || (only_text && m->kind != CHAT_PART_TEXT))
        return fail_content_item_modality(&rq->fault); /* REF: E054 */
    part->kind = m->kind;
    part->cache = chat_is_cache_mark(item);
    v = form == CHAT_CONTENT_OPENAI && m->member && yyjson_is_obj(value) ? json_get(value, m->member) : value;
    if (m->kind == CHAT_PART_TEXT) {
        if (!yyjson_is_str(v))
            return fail_content_item_modality(&rq->fault);
        part->text = json_str(v);
        return OK;
    }
    if (!model_takes(model, m) && model->task == MODEL_TASK_DOCUMENT_CHAT && model->content == MODEL_CONTENT_PARTS)
        return fail_document_part_type(&rq->fault); /* REF: E158 */
    if (!model_takes(model, m))
        return model->content != MODEL_CONTENT_PARTS ? OK : fail_content_item_modality(&rq->fault);
    if (m->kind == CHAT_PART_FILE)
        return read_file(rq, item, v, part);
    if (yyjson_is_str(v)) {
        part->text = json_str(v);
        e = chat_check_media_url(rq, part->text);
    } else if (m->kind == CHAT_PART_VIDEO && yyjson_is_arr(v)) {
        part->urls = v;
        e = check_url_list(rq, v);
    } else {
        e = fail_media_url_invalid(&rq->fault);
    }
    return e ? e : read_options(rq, item, value, form, model, part);
}

str chat_parts_text(struct arena *a, const struct chat_part *parts, size_t count)
{
    size_t len = 0, texts = 0;
    str    all = { 0 };
    char  *text;

    for (size_t i = 0; i < count; i++) {
        if (parts[i].kind != CHAT_PART_TEXT)
            continue;
        len += parts[i].text.len;
        all = parts[i].text;
        texts++;
    }
    if (texts <= 1)
        return all;
    text = arena_bytes(a, len);
    all = str_of(text, len);
    for (size_t i = 0; i < count; i++) {
        if (parts[i].kind == CHAT_PART_TEXT && parts[i].text.len) {
            memcpy(text, parts[i].text.ptr, parts[i].text.len);
            text += parts[i].text.len;
        }
    }
    return all;
}

static enum err read_parts(struct request *rq, yyjson_val *content, enum chat_content_form form,
                           const struct model *model, struct chat_message *m)
{
    size_t      i, n;
    yyjson_val *item;

    m->content_is_array = true;
    m->part_count = yyjson_arr_size(content);
    m->parts = arena_array(rq->arena, struct chat_part, m->part_count);
    yyjson_arr_foreach(content, i, n, item)
    {
        enum err e = read_part(rq, item, form, model, m->role, &m->parts[i]);

        if (e)
            return e;
    }
    m->content = chat_parts_text(rq->arena, m->parts, m->part_count);
    return OK;
}

static bool only_text(const struct chat_message *m)
{
    for (size_t i = 0; i < m->part_count; i++) {
        if (m->parts[i].kind != CHAT_PART_TEXT)
            return false;
    }
    return true;
}

enum err chat_refuse_array(struct request *rq, const struct chat_input *in)
{
    if (in->model->content == MODEL_CONTENT_PREPROCESS)
        return fail_preprocess_content_array(&rq->fault); /* REF: E090 */
    return fail_content_not_string(&rq->fault);           /* REF: E020 */
}

enum err chat_read_content(struct request *rq, yyjson_val *content, enum chat_content_form form, str where, size_t at,
                           const struct chat_input *in, struct chat_message *m)
{
    bool     takes_parts = in->model->content == MODEL_CONTENT_PARTS;
    enum err e;

    if (yyjson_is_str(content)) {
        m->content = json_str(content);
        return OK;
    }
    if (!yyjson_is_arr(content))
        return fail_string_expected(&rq->fault, arena_printf(rq->arena, "%.*s.%zu.content", STR_ARG(where), at));
    if (form == CHAT_CONTENT_TEXT && !takes_parts)
        return chat_refuse_array(rq, in);
    e = read_parts(rq, content, form, in->model, m);
    if (e)
        return e;
    /* OpenAI clients send plain text as an array of one part: that is a string. */
    if (form == CHAT_CONTENT_OPENAI && !takes_parts && !only_text(m))
        return chat_refuse_array(rq, in);
    return OK;
}

/* ---- all of them together ---- */

struct media_count {
    int64_t images, videos, audios, data_uris;
};

static void count_parts(const struct chat_message *m, struct media_count *c)
{
    for (size_t i = 0; i < m->part_count; i++) {
        const struct chat_part *p = &m->parts[i];
        size_t                  k, n;
        yyjson_val             *url;

        c->images += p->kind == CHAT_PART_IMAGE;
        c->videos += p->kind == CHAT_PART_VIDEO;
        c->audios += p->kind == CHAT_PART_AUDIO;
        if (p->kind != CHAT_PART_TEXT)
            c->data_uris += is_data_uri(p->text);
        yyjson_arr_foreach(p->urls, k, n, url)
        {
            c->data_uris += is_data_uri(json_str(url));
        }
    }
}

static enum err check_counts(struct request *rq, const struct media_count *all)
{
    if (all->data_uris > MEDIA_DATA_URIS_MAX)
        return fail_data_uri_count(&rq->fault, MEDIA_DATA_URIS_MAX);
    if (all->images > MEDIA_IMAGES_MAX)
        return fail_media_item_count(&rq->fault, S("image"), MEDIA_IMAGES_MAX);
    if (all->videos > MEDIA_VIDEOS_MAX)
        return fail_media_item_count(&rq->fault, S("video"), MEDIA_VIDEOS_MAX);
    return OK;
}

/* chat.md §5.4: one audio, and neither text nor a system message. */
static enum err check_one_audio(struct request *rq, const struct chat_input *in, const struct media_count *all)
{
    for (size_t i = 0; i < in->message_count; i++) {
        if (in->messages[i].content.len || in->messages[i].role != CHAT_USER)
            return fail_media_one_audio(&rq->fault);
    }
    return all->audios == 1 ? OK : fail_media_one_audio(&rq->fault);
}

/* The first file id of a "fileid://a,fileid://b", as a piece of the text; false when the message names none. */
static bool file_ids(const struct chat_message *m, str *ret)
{
    *ret = str_trim(m->content);
    return m->role == CHAT_SYSTEM && str_starts(*ret, S("fileid://"));
}

static str file_id_cut(str *rest)
{
    str id = str_trim(str_cut(rest, ','));

    return str_starts(id, S("fileid://")) ? str_from(id, strlen("fileid://")) : id;
}

size_t chat_file_ids(struct arena *a, const struct chat_message *m, str **ret)
{
    size_t count = 0;
    str    all, rest;

    if (!file_ids(m, &all))
        return 0;
    for (rest = all; rest.len; count++)
        (void)file_id_cut(&rest);
    *ret = arena_array(a, str, count);
    for (size_t i = 0; i < count; i++)
        (*ret)[i] = file_id_cut(&all);
    return count;
}

bool chat_file_id(const struct chat_input *in, str *ret)
{
    str rest;

    for (size_t i = 0; in->model && in->model->task == MODEL_TASK_DOCUMENT_CHAT && i < in->message_count; i++) {
        if (!in->messages[i].document_count && file_ids(&in->messages[i], &rest)) {
            *ret = file_id_cut(&rest);
            return true;
        }
    }
    return false;
}

/* How file ids are written, and how many there are. Whether there is such a file is for those to say who have files. */
static enum err check_file_ids(struct request *rq, const struct chat_input *in)
{
    size_t count = 0;

    for (size_t i = 0; i < in->message_count; i++) {
        str   *ids = NULL;
        size_t n = chat_file_ids(rq->arena, &in->messages[i], &ids);

        for (size_t k = 0; k < n; k++) {
            if (!param_name_ok(&media_file_id, ids[k]))
                return fail_document_file_invalid(&rq->fault, ids[k]); /* REF: X055 */
        }
        count += n;
    }
    return count > MEDIA_FILES_MAX ? fail_document_files_too_many(&rq->fault) : OK; /* REF: X057 */
}

enum err chat_check_content(struct request *rq, const struct chat_input *in)
{
    struct media_count all = { 0 };
    enum err           e;

    for (size_t i = 0; i < in->message_count; i++) {
        struct media_count one = { 0 };

        count_parts(&in->messages[i], &one);
        if (in->model->media == MODEL_MEDIA_SINGLE && !!one.images + !!one.videos + !!one.audios > 1)
            return fail_media_mixed(&rq->fault);
        all.images += one.images;
        all.videos += one.videos;
        all.audios += one.audios;
        all.data_uris += one.data_uris;
    }
    e = check_counts(rq, &all);
    if (!e && in->model->media == MODEL_MEDIA_ONE_AUDIO)
        e = check_one_audio(rq, in, &all);
    if (!e && in->model->task == MODEL_TASK_DOCUMENT_CHAT)
        e = check_file_ids(rq, in);
    return e;
}
