/* services.h - what the services of one loop thread share: the tokenizer, its memo, and the engines. */
#ifndef DASHBOX_SERVICE_SERVICES_H
#define DASHBOX_SERVICE_SERVICES_H

#include "engine/engine.h"
#include "tokens/chat_template.h"

struct account_source;
struct batch_runner;
struct blobs;
struct document_reader;
struct documents;
struct fetcher;
struct knowledge;
struct knowledge_index;
struct lane;
struct media;
struct ocr;
struct people;
struct picture_memo;
struct results;
struct speech;
struct store;
struct task_runner;
struct tuning_runner;

struct services {
    struct store           *store;
    struct account_source  *accounts;
    const struct tokenizer *tokenizer;
    struct count_memo      *memo;
    struct task_runner     *tasks;
    struct batch_runner    *batches;
    struct tuning_runner   *tuning; /* the process's: worker 0 has it */
    struct results         *results;
    struct results         *uploads; /* the temporary store: as results lie (store/uploads.h) */
    struct blobs           *blobs;   /* the content of the account's files (store/files.h) */
    struct fetcher         *fetcher;
    struct media           *media;     /* looks into files and draws; NULL: this dashbox was built without it */
    struct speech          *speech;    /* speaks and listens; NULL: likewise */
    struct people          *people;    /* sees who is in pictures; NULL: likewise */
    struct picture_memo    *seen;      /* in pictures, and what was read */
    struct ocr             *ocr;       /* reads the text in pictures; NULL: likewise */
    struct documents       *documents; /* reads the text of documents; NULL: likewise */
    struct document_reader *reader;    /* of what is uploaded to be read; worker 0's (service/documents.h) */
    struct knowledge       *knowledge; /* answers questions to knowledge bases (service/knowledge.h) */
    struct knowledge_index *indexing;  /* fills them; worker 0's */
    struct lane            *files;     /* reads and writes what clients name and what is made for them */
    struct lane            *sql;       /* builds databases of schemas, and prepares statements */
    /* The engine that answers for a model; never NULL. */
    struct engine *(*engine_for)(void *arg, str model);
    void *engine_arg;
    /* Forgets what requests have left in engines: the call numbers of a scenario. */
    void (*reset)(void *engine_arg);
};

#endif
