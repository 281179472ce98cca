/* The version. What AIO_API does is tried by tests/matrix.sh, as it takes a library. */

TEST(version_says_one_thing)
{
    char text[32];
    snprintf(text, sizeof text, "%d.%d.%d", AIO_VERSION_NUMBER / 10000, AIO_VERSION_NUMBER / 100 % 100,
             AIO_VERSION_NUMBER % 100);
    CHECK_STR(AIO_VERSION, text);
    CHECK_STR(aio_version(), AIO_VERSION);
}
