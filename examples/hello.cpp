/* hello - with an argument it sends it, without one it waits for a message. */
#include <iostream>

#include <tong/tong.hpp>

int main(int argc, char **argv)
try {
    tong::mailbox box("hello", TONG_CREATE | (argc > 1 ? TONG_SEND : TONG_RECEIVE));
    if (argc > 1) {
        box.send(argv[1]);
    } else if (const auto text = box.receive(std::chrono::seconds(10))) {
        std::cout << *text << '\n';
    }
} catch (const tong::error &e) {
    std::cerr << "hello: " << e.what() << '\n';
    return 1;
}
