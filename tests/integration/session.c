/* session: requests of one session to real servers, one after the other. Prints "STATUS HOPS URL" for each, the
 * statuses and Locations of the hops, and the body.
 *
 *   session [NAME=VALUE...] URL...
 *
 * Names: method (GET), body (text to send), user=NAME:PASSWORD (Basic), digest=NAME:PASSWORD, bearer,
 * cookie=NAME:VALUE, accept (a media type), most (redirects), no_redirects=1, raise=1 (a status from 400 on is an
 * error), form=NAME:VALUE, part=NAME:VALUE (the same as multipart), json (text), range (of bytes). */
#define AIO_IMPLEMENTATION
#include "../../aio.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct {
    const char *method, *body, *cookie[3], *accept[3], *form[3], *part[2], *json;
    aio_auth    auth;
    int         most;
    bool        no_redirects, raise;
} with = { "GET", NULL, { NULL, NULL, NULL }, { NULL, NULL, NULL }, { NULL, NULL, NULL }, { NULL, NULL }, NULL,
           { NULL, NULL, NULL, NULL }, 0, false, false };

struct run { aio_task task; int count, i; char **urls; aio_cookie_jar *jar; aio_session *session;
             aio_response *response; aio_text text; aio_form *form; };
static AIO_CORO(run)
{
    AIO_BEGIN(run);
    if (!(self->jar = aio_cookie_jar_open(.unsafe = true))) AIO_RAISE(ENOMEM);
    self->session = aio_session_open(.cookie_jar = self->jar, .auth = with.auth, .timeout = { .total = 30 });
    if (!self->session) AIO_RAISE(ENOMEM);
    if (with.part[0] && (!(self->form = aio_form_open(.multipart = true))
                         || aio_form_add(self->form, with.part[0], .text = with.part[1])
                         || aio_form_add(self->form, "file", .text = "in a file", .filename = "a \"b\" \303\244.txt",
                                         .type = "text/plain")))
        AIO_RAISE(ENOMEM);
    for (self->i = 0; self->i < self->count; self->i++) {
        AIO_AWAIT(self->response, aio_session_request(self->session, with.method, self->urls[self->i],
            .cookies = with.cookie[0] ? with.cookie : NULL, .headers = with.accept[0] ? with.accept : NULL,
            .data = with.body, .data_length = with.body ? strlen(with.body) : 0, .max_redirects = with.most,
            .form = with.form[0] ? with.form : NULL, .form_data = self->form, .json_text = with.json,
            .no_redirects = with.no_redirects, .raise_for_status = with.raise));
        AIO_AWAIT(self->text, aio_response_text(self->response));
        printf("%d %zu %s\n", self->response->status, self->response->history_count, self->response->url);
        for (size_t i = 0; i < self->response->history_count; i++) {
            const aio_response *hop = self->response->history[i];
            aio_text location = aio_headers_get(&hop->headers, "Location");
            printf("hop %d %s %s\n", hop->status, hop->method, location.data ? location.data : "-");
        }
        printf("%s\n", self->text.data);
        aio_response_release(self->response);
        self->response = NULL;
    }
    AIO_FINALLY;
        aio_response_release(self->response);
        aio_cookie_jar_unref(self->jar);
        aio_form_unref(self->form);
        AIO_AWAIT(aio_session_close(self->session));
    AIO_END;
}

static bool read_option(char *text)
{
    char *value = strchr(text, '=') + 1, *colon = strchr(value, ':');
    if (!strncmp(text, "method=", 7)) with.method = value;
    else if (!strncmp(text, "body=", 5)) with.body = value;
    else if (!strncmp(text, "bearer=", 7)) with.auth.bearer = value;
    else if (!strncmp(text, "most=", 5)) with.most = atoi(value);
    else if (!strncmp(text, "no_redirects=", 13)) with.no_redirects = true;
    else if (!strncmp(text, "raise=", 6)) with.raise = true;
    else if (!strncmp(text, "json=", 5)) with.json = value;
    else if (!strncmp(text, "range=", 6)) with.accept[0] = "Range", with.accept[1] = value;
    else if (!strncmp(text, "accept=", 7)) with.accept[0] = "Accept", with.accept[1] = value;
    else if (colon) {
        *colon = '\0';
        if (!strncmp(text, "user=", 5)) with.auth.user = value, with.auth.password = colon + 1;
        else if (!strncmp(text, "cookie=", 7)) with.cookie[0] = value, with.cookie[1] = colon + 1;
        else if (!strncmp(text, "form=", 5)) with.form[0] = value, with.form[1] = colon + 1;
        else if (!strncmp(text, "part=", 5)) with.part[0] = value, with.part[1] = colon + 1;
        else if (strncmp(text, "digest=", 7)) return false;
        else if (!(with.auth.digest = aio_digest_auth_open(value, colon + 1))) return false;
    } else return false;
    return true;
}

int main(int argc, char **argv)
{
    int i = 1;
    for (; i < argc && strncmp(argv[i], "http", 4) != 0; i++)
        if (!strchr(argv[i], '=') || !read_option(argv[i])) return 2;
    int code = aio_run(AIO_CALL(run, .count = argc - i, .urls = argv + i));
    aio_digest_auth_unref(with.auth.digest);
    return code;
}
