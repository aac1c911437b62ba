/* code.h - what the code-generation path is asked to do (chat.md §5.12). The scenes' names are data/params/code.txt. */
#ifndef DASHBOX_CONTRACT_CODE_H
#define DASHBOX_CONTRACT_CODE_H

enum code_scene {
    CODE_SCENE_UNSET,
    CODE_CUSTOM,
    CODE_NL2CODE,
    CODE_CODE2COMMENT,
    CODE_CODE2EXPLAIN,
    CODE_COMMIT2MSG,
    CODE_UNITTEST,
    CODE_CODEQA,
    CODE_NL2SQL,
};

struct code_input {
    int scene; /* enum code_scene */
};

#endif
