/* options.c - in every fuzz target: undefined behaviour ends the run, as a bad address does. */
const char *__ubsan_default_options(void);

const char *__ubsan_default_options(void)
{
    return "halt_on_error=1:abort_on_error=1:print_stacktrace=1";
}
