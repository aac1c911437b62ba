/* media_service.c - the walker of data/media's tables. Spec: media.md §0.6, steps 2 to 6. */
#include "contract/media_service.h"

#include "base/num.h"
#include "base/utf8.h"

#define ARG_TEXT_MAX 64

static bool is_for(const struct media_service *s, str model)
{
    str rest = s->models;

    while (rest.len)
        if (str_glob(str_cut(&rest, ' '), model))
            return true;
    return false;
}

/* "input.x.y" */
static yyjson_val *find(yyjson_val *root, str path)
{
    yyjson_val *v = root;

    while (path.len && v) {
        str part = str_cut(&path, '.');

        v = yyjson_is_obj(v) ? yyjson_obj_getn(v, part.ptr, part.len) : NULL;
        if (yyjson_is_null(v))
            v = NULL;
    }
    return v;
}

/* A text, or the "type" of one of the objects in an array. */
static bool case_fits(const struct media_service *s, yyjson_val *body)
{
    yyjson_val *v = find(body, s->case_path), *item;
    size_t      i, n;

    if (str_eq(json_str(v), s->case_value))
        return true;
    yyjson_arr_foreach(v, i, n, item)
    {
        if (str_eq(json_str(json_get(item, "type")), s->case_value))
            return true;
    }
    return false;
}

const struct media_service *media_service_find(str model, enum model_path path, yyjson_val *body)
{
    const struct media_service *general = NULL;

    for (unsigned i = 0; i < media_service_count; i++) {
        const struct media_service *s = &media_services[i];

        if (s->path != path || !is_for(s, model))
            continue;
        if (s->case_path.len && case_fits(s, body))
            return s;
        if (!s->case_path.len && !general)
            general = s;
    }
    return general;
}

const struct media_service *media_look_find(str model)
{
    const struct media_service *s = media_service_find(model, MODEL_PATH_COUNT, NULL);

    return s && s->mode == MEDIA_LOOK ? s : NULL;
}

bool media_in_range(const struct media_range *r, double v)
{
    if (!r->set)
        return true;
    return (r->low_open ? v > r->low : v >= r->low) && (r->high_open ? v < r->high : v <= r->high);
}

/* ---- refusals ---- */

/* "[0, 359]" → "0" and "359". */
static str bound_text(struct arena *a, double v)
{
    struct buf b;

    buf_init(&b, a, ARG_TEXT_MAX);
    json_add_num(&b, v);
    return buf_str(&b);
}

static str arg_text(struct request *rq, const struct media_refusal *r, const struct media_member *m, str url,
                    const struct media_value *v, str name)
{
    for (unsigned i = 0; i < r->arg_count; i++)
        if (str_eq(r->args[i].name, name))
            return r->args[i].value;
    if (str_eq(name, S("url")))
        return url;
    if (str_eq(name, S("value")) && v && v->json)
        return yyjson_is_str(v->json) ? json_str(v->json) : json_text(rq->arena, v->json);
    if (m && v && v->text.len && str_eq(name, m->name))
        return v->text;
    /* ROW detail: "angle must be in [0, 359]" */
    if (str_eq(name, S("detail")) && m && m->range.set) {
        str low = bound_text(rq->arena, m->range.low), high = bound_text(rq->arena, m->range.high);

        return arena_printf(rq->arena, "%.*s must be in %s%.*s, %.*s%s", STR_ARG(m->name),
                            m->range.low_open ? "(" : "[", STR_ARG(low), STR_ARG(high), m->range.high_open ? ")" : "]");
    }
    if (str_eq(name, S("detail")) && m && m->choice_count)
        return arena_printf(rq->arena, "%.*s is not a value of it", STR_ARG(m->name));
    return m ? m->name : (str){ 0 };
}

enum err media_refuse(struct request *rq, const struct media_refusal *r, const struct media_member *m, str url,
                      const struct media_value *v)
{
    const struct error_row *row = &error_rows[r->error];
    struct fault_arg        args[FAULT_ARGS_MAX];

    ASSERT(r->set);
    for (unsigned i = 0; i < row->arg_count; i++) {
        str text = arg_text(rq, r, m, url, v, row->args[i].name);

        args[i] = (struct fault_arg){ .kind = row->args[i].kind };
        switch (args[i].kind) {
        case FAULT_ARG_STR:
            args[i].s = text;
            break;
        case FAULT_ARG_INT:
            (void)str_to_i64(text, &args[i].i); /* what the data says, or 0 */
            break;
        case FAULT_ARG_NUM:
            (void)str_to_f64(text, &args[i].n);
            break;
        }
    }
    return fault_raise(&rq->fault, row, args, row->arg_count);
}

static enum err refuse_or(struct request *rq, const struct media_refusal *r, enum error_number fallback,
                          const struct media_member *m, str url, const struct media_value *v)
{
    struct media_refusal other = { .error = fallback, .set = true };

    return media_refuse(rq, r->set ? r : &other, m, url, v);
}

static enum err refuse_missing(struct request *rq, const struct media_member *m)
{
    return refuse_or(rq, &m->missing, ERROR_PARAMETERS_MISSING_FORMAT, m, (str){ 0 }, NULL);
}

static enum err refuse_type(struct request *rq, const struct media_member *m, const struct media_value *v)
{
    return refuse_or(rq, &m->wrong_type, ERROR_PARAMETERS_MISSING_FORMAT, m, (str){ 0 }, v);
}

static enum err refuse_range(struct request *rq, const struct media_member *m, const struct media_value *v)
{
    return refuse_or(rq, &m->out_of_range, ERROR_IMAGE_PARAMETERS_MISSING_RANGE, m, (str){ 0 }, v);
}

static enum err refuse_count(struct request *rq, const struct media_member *m, const struct media_value *v)
{
    return refuse_or(rq, m->wrong_count.set ? &m->wrong_count : &m->out_of_range, ERROR_IMAGE_PARAMETERS_MISSING_RANGE,
                     m, (str){ 0 }, v);
}

/* ---- where a member stands ---- */

/* The items of input.media, each with a "type" and a "url": those of a type are the member media.TYPE. */
static enum err read_media(struct request *rq, const struct media_service *s, yyjson_val *body, struct media_call *c)
{
    yyjson_val *media = find(body, S("input.media")), *item;
    struct buf  set;
    size_t      i, n, known = 0, total = 0;

    if (media && !yyjson_is_arr(media))
        return refuse_or(rq, &s->media_wrong, ERROR_PARAMETERS_MISSING_FORMAT, NULL, (str){ 0 }, NULL);
    buf_init(&set, rq->arena, SIZE_MAX / 2);
    for (unsigned k = 0; k < s->member_count; k++) {
        const struct media_member *m = &s->members[k];
        struct media_value        *v = &c->values[k];
        str                       *urls;

        if (!str_starts(m->path, S("media.")))
            continue;
        urls = arena_array(rq->arena, str, yyjson_arr_size(media) + 1);
        yyjson_arr_foreach(media, i, n, item)
        {
            bool        is = str_eq(json_str(json_get(item, "type")), m->name);
            yyjson_val *url = m->beside ? find(item, m->name) : is ? json_get(item, "url") : NULL;

            known += !m->beside && is;
            if (url)
                urls[v->url_count++] = json_str(url);
            else if (is && !m->beside)
                return refuse_or(rq, &s->media_wrong, ERROR_PARAMETERS_MISSING_FORMAT, NULL, (str){ 0 }, NULL);
        }
        v->urls = urls;
        v->set = v->url_count > 0;
        if (v->url_count < (size_t)m->count_min || (v->url_count > (size_t)m->count_max && !m->beside))
            return refuse_or(rq, &s->media_wrong, ERROR_PARAMETERS_MISSING_FORMAT, NULL, (str){ 0 }, NULL);
        if (v->set && !m->beside)
            buf_addf(&set, "%s%.*s", set.len ? "." : "", STR_ARG(m->name));
        total += s->together >> k & 1 ? v->url_count : 0;
    }
    c->set = buf_str(&set);
    if (known != yyjson_arr_size(media)) /* a type that it does not take */
        return refuse_or(rq, &s->media_wrong, ERROR_PARAMETERS_MISSING_FORMAT, NULL, (str){ 0 }, NULL);
    for (unsigned k = 0; k < s->way_count && s->by_media; k++)
        if (str_eq(s->ways[k].value, c->set))
            known = SIZE_MAX;
    if (s->by_media && known != SIZE_MAX && !(c->set.len == 0 && s->render.len))
        return refuse_or(rq, &s->media_wrong, ERROR_PARAMETERS_MISSING_FORMAT, NULL, (str){ 0 }, NULL);
    if (s->together && (total < (size_t)s->together_min || total > (size_t)s->together_max))
        return refuse_or(rq, &s->media_wrong, ERROR_PARAMETERS_MISSING_FORMAT, NULL, (str){ 0 }, NULL);
    return OK;
}

/* The parts of the one message, by kind. */
struct message {
    str   *texts, *images;
    size_t text_count, image_count;
};

/* {"text":…}, {"image":…}, and both with a "type". */
static enum err read_message(struct request *rq, const struct media_service *s, yyjson_val *root, struct message *ret)
{
    yyjson_val *messages = find(root, S("input.messages")), *content, *part;
    size_t      i, n;

    if (!messages || !yyjson_is_arr(messages))
        return refuse_or(rq, &s->messages_missing, ERROR_IMAGE_EDIT_MESSAGES_MISSING, NULL, (str){ 0 }, NULL);
    if (yyjson_arr_size(messages) != 1)
        return refuse_or(rq, &s->messages_count, ERROR_IMAGE_EDIT_ONE_MESSAGE, NULL, (str){ 0 }, NULL);
    content = json_get(yyjson_arr_get_first(messages), "content");
    if (!yyjson_is_arr(content))
        return refuse_or(rq, &s->content_count, ERROR_PARAMETERS_MISSING_FORMAT, NULL, (str){ 0 }, NULL);
    n = yyjson_arr_size(content);
    *ret = (struct message){ .texts = arena_array(rq->arena, str, n), .images = arena_array(rq->arena, str, n) };
    yyjson_arr_foreach(content, i, n, part)
    {
        yyjson_val *text = json_get(part, "text"), *image = json_get(part, "image");

        if (yyjson_is_str(text))
            ret->texts[ret->text_count++] = json_str(text);
        else if (image) /* one that is no text is no URL either: refused with the member */
            ret->images[ret->image_count++] = json_str(image);
        else
            return refuse_or(rq, &s->part_wrong, ERROR_CONTENT_ITEM_MODALITY, NULL, (str){ 0 }, NULL);
    }
    return OK;
}

/* ---- values ---- */

/* http, https, oss, data with ";base64,", and file where the operator lets them be. */
static bool is_url(str url)
{
    static const str kinds[] = { S("http://"), S("https://"), S("oss://"), S("file://") };

    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        if (str_starts(url, kinds[i]) && url.len > kinds[i].len)
            return true;
    return str_starts(url, S("data:")) && str_find_str(url, S(";base64,")) != STR_NONE;
}

static enum err read_urls(struct request *rq, const struct media_member *m, yyjson_val *json, struct media_value *v)
{
    size_t      i, n;
    yyjson_val *one;
    str        *urls;

    if (!yyjson_is_arr(json)) {
        urls = arena_new(rq->arena, str);
        urls[0] = json_str(json);
        v->url_count = 1;
    } else {
        urls = arena_array(rq->arena, str, yyjson_arr_size(json));
        yyjson_arr_foreach(json, i, n, one) urls[v->url_count++] = json_str(one);
    }
    v->urls = urls;
    if (v->url_count < (size_t)m->count_min || v->url_count > (size_t)m->count_max)
        return v->url_count == 0 && m->required ? refuse_missing(rq, m) : refuse_count(rq, m, v);
    return OK;
}

static enum err check_urls(struct request *rq, const struct media_member *m, const struct media_value *v)
{
    for (size_t i = 0; i < v->url_count; i++) {
        if (!is_url(v->urls[i]))
            return m->faults[MEDIA_FAULT_URL].set ? media_refuse(rq, &m->faults[MEDIA_FAULT_URL], m, v->urls[i], v)
                                                  : refuse_type(rq, m, v);
    }
    return OK;
}

/* "1024*768", with an "x" for the star in older calls. */
static bool read_size(str text, int64_t *ret_width, int64_t *ret_height)
{
    size_t at = str_find(text, '*');

    if (at == STR_NONE)
        at = str_find(text, 'x');
    return at != STR_NONE && str_to_i64(str_first(text, at), ret_width) &&
           str_to_i64(str_from(text, at + 1), ret_height) && *ret_width > 0 && *ret_height > 0;
}

static bool is_choice(const struct media_member *m, str text)
{
    for (unsigned i = 0; i < m->choice_count; i++)
        if (str_eq(m->choices[i], text))
            return true;
    return false;
}

static str joined(struct arena *a, yyjson_val *list)
{
    struct buf  b;
    size_t      i, n;
    yyjson_val *item;

    buf_init(&b, a, SIZE_MAX / 2);
    yyjson_arr_foreach(list, i, n, item)
    {
        buf_add(&b, i ? S(",") : S(""));
        buf_add(&b, json_str(item));
    }
    return buf_str(&b);
}

static enum err read_size_value(struct request *rq, const struct media_member *m, struct media_value *v)
{
    if (is_choice(m, v->text)) {
        if (!read_size(v->text, &v->width, &v->height))
            v->width = v->height = 0; /* a word */
        return OK;
    }
    if (!read_size(v->text, &v->width, &v->height) || !(m->sides.set || m->pixels.set || m->ratio.set))
        return refuse_range(rq, m, v);
    if (!media_in_range(&m->sides, (double)v->width) || !media_in_range(&m->sides, (double)v->height) ||
        !media_in_range(&m->pixels, (double)v->width * (double)v->height) ||
        !media_in_range(&m->ratio, (double)v->width / (double)v->height))
        return refuse_range(rq, m, v);
    return OK;
}

/* Longer texts are cut without a word (media.md §3). */
static str cut(str text, int64_t max)
{
    const char *p = text.ptr, *end = str_end(text);
    uint32_t    cp;

    for (int64_t n = 0; max > 0 && n < max && p < end; n++)
        p += utf8_decode(p, end, &cp); /* JSON has been checked */
    return max > 0 ? str_of(text.ptr, (size_t)(p - text.ptr)) : text;
}

static bool is_box(yyjson_val *json)
{
    int64_t edge[4];

    for (size_t i = 0; i < ARRAY_LEN(edge); i++) {
        if (!json_to_i64(yyjson_arr_get(json, i), &edge[i]) || edge[i] < 0)
            return false;
    }
    return yyjson_arr_size(json) == ARRAY_LEN(edge) && edge[0] < edge[2] && edge[1] < edge[3];
}

static enum err read_value(struct request *rq, const struct media_member *m, yyjson_val *json, struct media_value *v)
{
    int64_t whole;

    v->json = json;
    v->set = true;
    switch (m->type) {
    case MEDIA_TEXT:
        if (!yyjson_is_str(json))
            return refuse_type(rq, m, v);
        v->text = cut(json_str(json), m->length_max);
        return v->text.len || !m->required ? OK : refuse_missing(rq, m);
    case MEDIA_INT:
        if (!json_to_i64(json, &whole))
            return refuse_type(rq, m, v);
        v->number = (double)whole;
        return media_in_range(&m->range, v->number) ? OK : refuse_range(rq, m, v);
    case MEDIA_NUM:
        if (!json_to_num(json, &v->number))
            return refuse_type(rq, m, v);
        return media_in_range(&m->range, v->number) ? OK : refuse_range(rq, m, v);
    case MEDIA_BOOL:
        if (!yyjson_is_bool(json))
            return refuse_type(rq, m, v);
        v->yes = yyjson_get_bool(json);
        return OK;
    case MEDIA_CHOICE:
        v->text = yyjson_is_str(json) ? json_str(json) : json_text(rq->arena, json);
        (void)str_to_f64(v->text, &v->number); /* of those that are numbers */
        return is_choice(m, v->text) ? OK : refuse_range(rq, m, v);
    case MEDIA_SIZE:
        if (!yyjson_is_str(json))
            return refuse_type(rq, m, v);
        v->text = json_str(json);
        return read_size_value(rq, m, v);
    case MEDIA_LIST:
        if (!yyjson_is_arr(json))
            return refuse_type(rq, m, v);
        v->number = (double)yyjson_arr_size(json);
        if (m->joined)
            return is_choice(m, joined(rq->arena, json)) ? OK : refuse_range(rq, m, v);
        for (size_t i = 0; m->choice_count && i < yyjson_arr_size(json); i++)
            if (!is_choice(m, json_str(yyjson_arr_get(json, i))))
                return refuse_range(rq, m, v);
        return media_in_range(&m->range, v->number) ? OK : refuse_range(rq, m, v);
    case MEDIA_OBJECT:
        return yyjson_is_obj(json) ? OK : refuse_type(rq, m, v);
    case MEDIA_ANY:
        return OK;
    case MEDIA_BOX:
        return is_box(json) ? OK : refuse_type(rq, m, v);
    case MEDIA_FILE:
        if (!yyjson_is_str(json) && !(yyjson_is_arr(json) && m->array))
            return refuse_type(rq, m, v);
        return read_urls(rq, m, json, v);
    }
    return OK;
}

/* Members called message.text and message.image. */
static enum err read_part(struct request *rq, const struct media_member *m, const struct message *msg,
                          struct media_value *v)
{
    bool   file = m->type == MEDIA_FILE;
    size_t n = file ? msg->image_count : msg->text_count;

    if (n < (size_t)m->count_min || n > (size_t)m->count_max)
        return n < (size_t)m->count_min ? refuse_missing(rq, m) : refuse_count(rq, m, v);
    if (n == 0)
        return OK;
    v->set = true;
    if (file) {
        v->urls = msg->images;
        v->url_count = n;
    } else {
        v->text = cut(msg->texts[0], m->length_max);
    }
    return OK;
}

static enum err read_default(struct request *rq, const struct media_member *m, struct media_value *v)
{
    yyjson_val *json = json_parse_copy(rq->arena, m->default_text);
    enum err    e;

    ASSERT(json); /* the data's */
    e = read_value(rq, m, json, v);
    v->json = NULL;
    return e;
}

/* REF: E159, E162, E160. */
static enum err check_frame(struct request *rq, const struct media_service *s, yyjson_val *body)
{
    yyjson_val *input = json_get(body, "input"), *parameters = json_get(body, "parameters");

    if (!input)
        return fail_input_missing(&rq->fault);
    if (!yyjson_is_obj(input))
        return fail_input_not_object(&rq->fault);
    if (!parameters && s->parameters_required)
        return fail_parameters_missing(&rq->fault);
    return !parameters || yyjson_is_obj(parameters) ? OK : fail_parameter_missing_named(&rq->fault, S("parameters"));
}

static enum err check_one_of(struct request *rq, const struct media_call *c)
{
    const struct media_service *s = c->service;

    for (unsigned i = 0; i < s->member_count; i++)
        if (s->one_of >> i & 1 && c->values[i].set)
            return OK;
    return s->one_of ? refuse_or(rq, &s->none_of, ERROR_PARAMETERS_MISSING_FORMAT, NULL, (str){ 0 }, NULL) : OK;
}

/* A list that has an entry for each file of another member; for one file it may be left out. */
static enum err check_counts(struct request *rq, const struct media_call *c)
{
    for (unsigned i = 0; i < c->service->member_count; i++) {
        const struct media_member *m = &c->service->members[i];
        size_t                     other = m->same_count ? c->values[m->same_count - 1].url_count : 0;

        if (m->same_count && (c->values[i].set ? c->values[i].number != (double)other : other > 1))
            return refuse_count(rq, m, &c->values[i]);
    }
    return OK;
}

enum err media_call_read(struct request *rq, const struct media_service *s, yyjson_val *body, struct media_call *ret)
{
    struct message msg = { 0 };
    yyjson_val    *found[MEDIA_MEMBERS_MAX] = { 0 };
    enum err       e = check_frame(rq, s, body);

    ASSERT(s->member_count <= MEDIA_MEMBERS_MAX);
    *ret = (struct media_call){ .service = s };
    if (!e && s->body == MEDIA_BODY_MESSAGES)
        e = read_message(rq, s, body, &msg);
    if (!e)
        e = read_media(rq, s, body, ret);
    for (unsigned i = 0; i < s->member_count && !e; i++) {
        const struct media_member *m = &s->members[i];

        if (str_starts(m->path, S("message.")))
            e = read_part(rq, m, &msg, &ret->values[i]);
        else if (str_starts(m->path, S("media.")))
            continue;
        else if (!(found[i] = find(body, m->path)) && m->required)
            e = refuse_missing(rq, m);
    }
    for (unsigned i = 0; i < s->member_count && !e; i++) {
        const struct media_member *m = &s->members[i];

        if (found[i])
            e = read_value(rq, m, found[i], &ret->values[i]);
        else if (!ret->values[i].set && m->default_text.len)
            e = read_default(rq, m, &ret->values[i]);
    }
    if (!e)
        e = check_one_of(rq, ret);
    if (!e)
        e = check_counts(rq, ret);
    for (unsigned i = 0; i < s->member_count && !e; i++)
        if (s->members[i].type == MEDIA_FILE)
            e = check_urls(rq, &s->members[i], &ret->values[i]);
    return e;
}

const struct media_value *media_call_value(const struct media_call *c, enum media_role role)
{
    for (unsigned i = 0; i < c->service->member_count; i++)
        if (c->service->members[i].role == role)
            return c->values[i].set ? &c->values[i] : NULL;
    return NULL;
}
