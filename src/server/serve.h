/* serve.h - `dashbox serve`: from the command line to the end of the process. */
#ifndef DASHBOX_SERVER_SERVE_H
#define DASHBOX_SERVER_SERVE_H

/* Returns the exit status. */
int serve_main(int argc, char **argv);

#endif
