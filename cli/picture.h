/* picture.h - pictures in terminals that can show them.
 *
 * A terminal is asked what it can (kitty's graphics protocol, sixel), or is known by its environment (iTerm2's inline images). One that
 * says nothing within a fifth of a second can nothing.
 */
#ifndef DASHBOX_CLI_PICTURE_H
#define DASHBOX_CLI_PICTURE_H

#include "cli/client.h"

enum picture_protocol { PICTURE_NONE, PICTURE_KITTY, PICTURE_ITERM };

/* Of the terminal on standard output; PICTURE_NONE when that is none. */
enum picture_protocol picture_protocol(void);

/* Shows the picture and ends the line. False, with nothing written, when this protocol cannot show it. */
bool picture_show(struct cli_client *c, enum picture_protocol p, str picture);

#endif
