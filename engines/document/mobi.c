/* mobi.c */
#include "engines/document/reading.h"

enum document_verdict mobi_read(struct reading *r)
{
    return reading_fails(r, DOCUMENT_FORMAT, "MOBI");
}
