/* fuzz_schema.c - any JSON as a schema: an instance is valid JSON of bounded size, or there is a reason why not. The
 * first byte is the seed. */
#include "contract/json.h"
#include "engine/standin/schema.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    yyjson_val  *schema;

    if (size < 2)
        return 0;
    arena_init(&arena, 0);
    schema = json_parse_copy(&arena, str_of((const char *)data + 1, size - 1));
    if (schema) {
        const char *why = NULL;
        str         text;

        if (schema_instance(&arena, schema, data[0], &text, &why)) {
            ASSERT(why);
        } else {
            ASSERT(text.len <= SCHEMA_INSTANCE_MAX);
            ASSERT(json_parse_copy(&arena, text));
        }
    }
    arena_free(&arena);
    return 0;
}
