/* batch_check.c - validation of batches. Spec: platform.md §2.4. */
#include "service/batch_check.h"

#include "base/utf8.h"
#include "contract/batches_params.gen.h"
#include "contract/errors.gen.h"
#include "contract/model.h"

#define STEP_BYTES ((size_t)1 << 20) /* of lines, before the lane does something else */

bool batch_request_read(struct arena *a, str line, struct batch_request *ret)
{
    yyjson_val *root = line.len > BATCHES_LINE_MAX ? NULL : json_parse(a, (char *)line.ptr, line.len);
    yyjson_val *body = json_get(root, "body");

    *ret = (struct batch_request){ .custom_id = json_str(json_get(root, "custom_id")),
                                   .method = json_str(json_get(root, "method")),
                                   .url = json_str(json_get(root, "url")),
                                   .model = json_str(json_get(body, "model")),
                                   .body = yyjson_is_obj(body) ? body : NULL };
    return yyjson_is_obj(root);
}

void batch_check_init(struct batch_check *c, const struct request *rq, str endpoint, int fd, int64_t file_size,
                      int64_t lines_max)
{
    *c = (struct batch_check){ .rq = rq, .endpoint = endpoint, .lines_max = lines_max, .file_size = file_size };
    arena_init(&c->life, 0);
    arena_init(&c->line, 0);
    map_init(&c->ids);
    buf_init(&c->errors, &c->life, SIZE_MAX / 2);
    line_file_init(&c->lines, fd, BATCHES_LINE_MAX, &c->life);
}

void batch_check_free(struct batch_check *c)
{
    map_free(&c->ids);
    arena_free(&c->line);
    arena_free(&c->life);
}

void batch_error_add(const struct request *rq, struct buf *b, const struct fault *f, int64_t line)
{
    struct fault_view v;

    fault_render(f, &rq->settings->wording, b->arena, &v);
    if (b->len)
        buf_add_char(b, ',');
    buf_add(b, S("{\"code\":"));
    json_add_str(b, v.compat_code);
    buf_add(b, S(",\"message\":"));
    json_add_str(b, v.message);
    buf_add(b, S(",\"param\":"));
    if (f->row->param.len)
        json_add_str(b, f->row->param);
    else
        buf_add(b, S("null"));
    if (line)
        json_add_count(b, S(",\"line\":"), line);
    else
        buf_add(b, S(",\"line\":null"));
    buf_add_char(b, '}');
}

/* ---- a line ---- */

/* The configuration's own models are batched as any; the catalogue says it of each of its models and regions. */
static bool batches_run(const struct request *rq, str model)
{
    const struct model *m = request_model(rq, model);
    bool                own = m && !model_find(model);

    return own || (m && m->batch & BIT(rq->settings->limits.region)) || str_eq(model, BATCHES_TEST_MODEL);
}

static enum err check_url(struct fault *f, str endpoint, const struct batch_request *r)
{
    bool is_test = str_eq(r->model, BATCHES_TEST_MODEL);

    if (!str_is_listed(r->url, BATCHES_ENDPOINTS) && !str_eq(r->url, BATCHES_TEST_ENDPOINT))
        return fail_batch_url_unsupported(f, r->url); /* REF: W270 */
    if (is_test && !str_eq(r->url, BATCHES_TEST_ENDPOINT))
        return fail_batch_url_test_model(f, r->url, r->model);         /* REF: W271 */
    return str_eq(r->url, endpoint) ? OK : fail_batch_url_mismatch(f); /* REF: W272 */
}

static enum err check_model(struct batch_check *c, struct fault *f, const struct batch_request *r)
{
    if (!batches_run(c->rq, r->model) ||
        (str_eq(r->url, BATCHES_TEST_ENDPOINT) && !str_eq(r->model, BATCHES_TEST_MODEL)))
        return fail_batch_model_unsupported(f, r->model); /* REF: E197 */
    if (!c->model.len)
        c->model = arena_str(&c->life, r->model);
    return str_eq(c->model, r->model) ? OK : fail_batch_model_mismatch(f, r->model); /* REF: E245 */
}

static enum err check_id(struct batch_check *c, struct fault *f, const struct batch_request *r)
{
    str id;

    if (map_get(&c->ids, r->custom_id))
        return fail_batch_custom_id_duplicate(f, r->custom_id); /* REF: E246 */
    id = arena_str(&c->life, r->custom_id);
    map_put(&c->ids, id, c);
    return OK;
}

static enum err check_line(struct batch_check *c, struct fault *f, str line)
{
    struct batch_request r;
    enum err             e;

    if (!batch_request_read(&c->line, line, &r))
        return fail_batch_line_invalid(f); /* REF: W273 */
    if (!r.custom_id.len || utf8_count(r.custom_id) > BATCHES_CUSTOM_ID_MAX)
        return fail_batch_line_incomplete(f, S("custom_id")); /* REF: W274 */
    if (!r.method.len)
        return fail_batch_line_incomplete(f, S("method"));
    if (!str_eq(r.method, S("POST")))
        return fail_batch_method_unsupported(f, r.method); /* REF: W279 */
    if (!r.url.len)
        return fail_batch_line_incomplete(f, S("url"));
    if (!r.body)
        return fail_batch_line_incomplete(f, S("body"));
    if (!r.model.len)
        return fail_batch_line_incomplete(f, S("body.model"));
    e = check_url(f, c->endpoint, &r);
    if (!e)
        e = check_model(c, f, &r);
    return e ? e : check_id(c, f, &r);
}

/* ---- the file ---- */

static void note(struct batch_check *c, const struct fault *f, int64_t line)
{
    if (c->error_count++ < BATCHES_ERRORS_MAX)
        batch_error_add(c->rq, &c->errors, f, line);
}

/* What is known only of all of it. */
static void check_whole(struct batch_check *c)
{
    struct fault f = { 0 };
    bool         is_test = str_eq(c->model, BATCHES_TEST_MODEL);

    if (!c->total)
        note(c, (fail_batch_file_empty(&f), &f), 0); /* REF: W275 */
    else if (is_test && c->file_size > BATCHES_TEST_BYTES_MAX)
        note(c, (fail_batch_file_too_large(&f, BATCHES_TEST_BYTES_MAX), &f), 0); /* REF: W277 */
    else if (is_test && c->total > BATCHES_TEST_LINES_MAX)
        note(c, (fail_batch_too_many_lines(&f, BATCHES_TEST_LINES_MAX), &f), 0); /* REF: W276 */
}

void batch_check_step(void *batch_check)
{
    struct batch_check *c = batch_check;
    size_t              done = 0;
    str                 line;

    while (!c->ended && done < STEP_BYTES) {
        struct fault f = { 0 };

        arena_reset(&c->line);
        c->e = line_file_next(&c->lines, &c->line, &line);
        if (c->e) {
            c->ended = true;
            break;
        }
        done += line.len + 1;
        if (c->total++ == c->lines_max) {
            (void)fail_batch_too_many_lines(&f, c->lines_max);
            note(c, &f, 0);
            c->ended = true;
        } else if (check_line(c, &f, line)) {
            note(c, &f, c->total);
        }
    }
    if (c->e == ERR_EOF) {
        c->e = OK;
        check_whole(c);
    }
}
