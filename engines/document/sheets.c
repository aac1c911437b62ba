/* sheets.c - XLSX. */
#include "engines/document/office.h"

enum document_verdict sheets_read(struct reading *r, struct package *p, const char *workbook)
{
    (void)p;
    (void)workbook;
    return reading_fails(r, DOCUMENT_FORMAT, "XLSX");
}
