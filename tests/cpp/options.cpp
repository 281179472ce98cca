// Options in a C++11 file, which has only the declarations. Ends with 0 if every call gives what it should.
#include "../../aio.h"
#include <cerrno>
#include <cstring>
#include "../options_with.h"

int main()
{
    aio_connect_options connect = {};
    connect.tls = true;
    return with_all() + !connect.tls;
}
