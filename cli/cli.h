/* cli.h - dashbox's subcommands for people: one file each.
 *
 * Each is called with the arguments from its own name on (argv[0] is "explain") and returns the exit status: 0 done,
 * 1 not, 2 wrong usage.
 */
#ifndef DASHBOX_CLI_CLI_H
#define DASHBOX_CLI_CLI_H

/* Finds an error by its text, code, id or reply body, and says what it means and what to do. */
int cli_explain(int argc, char **argv);

/* Makes, lists and revokes API keys in the store. */
int cli_keys(int argc, char **argv);

#endif
