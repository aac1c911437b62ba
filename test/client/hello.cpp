// hello.cpp - the callback form, from C++.
#include <dashscope.h>
#include <iostream>
#include <string>

static int on_chunk(const dashscope_chunk *k, void *arg)
{
    static_cast<std::string *>(arg)->append(k->text, k->text_len);
    return 0;
}

int main()
{
    dashscope           *c = dashscope_open(nullptr);
    dashscope_message    m = { "user", "hello from C++" };
    dashscope_chat_input q = {};
    std::string          text;

    q.model = "qwen-plus";
    q.messages = &m;
    q.message_count = 1;
    dashscope_result r = dashscope_chat(c, &q, on_chunk, &text);
    std::cout << text << "\n";
    dashscope_close(c);
    return r;
}
