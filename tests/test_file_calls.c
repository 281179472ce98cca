/* Files, folders and bodies that go to disk, in threads of the executor. */
#define DISK_MAY .may = { EMFILE, EIO, ENOSPC, EAGAIN, ENOENT, AIO_ERUNTIME, EACCES }

static void disk_name(char *path, size_t size, const char *what)
{
    snprintf(path, size, "/tmp/aio-disk-%d-%s", (int)getpid(), what);
}

/* Written, read again in pieces and at offsets, cut, and closed. */
struct disk_file { aio_task task; aio_file *file, *again; char path[80], buffer[20]; aio_text text; size_t n; int i; };
SCENARIO(disk_file, DISK_MAY)
{
    aio_file *file;
    AIO_BEGIN(disk_file);
    disk_name(self->path, sizeof self->path, "file");
    unlink(self->path);
    AIO_AWAIT(self->file, aio_file_open(self->path, "w+x", .mode = 0600));
    CHECK_INT(aio_file_size(self->file), 0);
    AIO_AWAIT(aio_file_write(self->file, "hello ", 6));
    AIO_AWAIT(aio_file_write(self->file, "world", 5));
    AIO_AWAIT(aio_file_pwrite(self->file, "W", 1, 6));
    CHECK_INT(aio_file_tell(self->file), 11);
    AIO_AWAIT(self->n, aio_file_pread(self->file, self->buffer, sizeof self->buffer, 4));
    CHECK_BYTES(self->buffer, self->n, "o World");
    aio_file_seek(self->file, 0);
    AIO_AWAIT(self->text, aio_file_read(self->file, 5));
    CHECK_BYTES(self->text.data, self->text.length, "hello");
    self->i = 0;
    AIO_ASYNC_FOR(self->text, aio_file_read(self->file, 4)) self->i += (int)self->text.length;
    CHECK_INT(self->i, 6);
    AIO_AWAIT(aio_file_truncate(self->file, 3));
    AIO_AWAIT(aio_file_sync(self->file));
    aio_file_seek(self->file, 0);
    AIO_AWAIT(self->text, aio_file_read_all(self->file, 3));
    CHECK_STR(self->text.data, "hel");
    aio_file_seek(self->file, 0);
    AIO_TRY {
        AIO_AWAIT(self->text, aio_file_read_all(self->file, 2));
        UNREACHED();
    } AIO_CATCH {
        CAUGHT(AIO_ELIMIT);
        if (!seam.fired) CHECK(strstr(aio_caught(self)->message, ": more than the limit of 2 bytes") != NULL);
    } AIO_END_TRY;
    CHECK_INT(aio_file_tell(self->file), 0); /* nothing was given */
    aio_file_seek(self->file, -1);           /* which is no place */
    CHECK_INT(aio_file_tell(self->file), 0);
    file = self->file;
    self->file = NULL;
    AIO_AWAIT(aio_file_wait_closed(file));
    AIO_AWAIT(self->again, aio_file_open(self->path, "a+"));
    CHECK_INT(aio_file_size(self->again), 3);
    AIO_AWAIT(aio_file_write(self->again, "p", 1));
    CHECK_INT(aio_file_tell(self->again), 4);
    AIO_AWAIT(self->text, aio_file_read(self->again, 9));
    CHECK_INT(self->text.length, 0); /* behind what it has written there is nothing */
    AIO_AWAIT(aio_file_pwrite(self->again, "!", 1, 0));
    aio_file_seek(self->again, 0);
    AIO_AWAIT(self->text, aio_file_readline(self->again));
    CHECK_STR(self->text.data, "help!");
    AIO_TRY {
        AIO_AWAIT(self->file, aio_file_open(self->path, "wx"));
        UNREACHED();
    } AIO_CATCH {
        CAUGHT(EEXIST);
        CHECK(strstr(aio_caught(self)->message, self->path) != NULL);
    } AIO_END_TRY;
    AIO_FINALLY;
        aio_file_close(self->file);
        aio_file_close(self->again);
        unlink(self->path);
    AIO_END;
}

/* A file is taken by the call that waits for its end, also if that is cancelled before it begins. */
struct disk_closed_early { aio_task task; aio_file *file; aio_future *closing; int i, fd; };
SCENARIO(disk_closed_early, DISK_MAY)
{
    aio_file *file;
    AIO_BEGIN(disk_closed_early);
    for (self->i = 0; self->i < 2; self->i++) {
        AIO_AWAIT(self->file, aio_file_open("/dev/null", "r"));
        self->fd = aio_file_fileno(self->file);
        file = self->file;
        self->file = NULL;
        self->closing = aio_file_wait_closed(file);
        if (self->i) self->closing = (aio_future *)aio_create_task(self->closing);
        if (!self->closing) AIO_RAISE(ENOMEM);
        aio_future_cancel(self->closing);
        if (self->i) {
            AIO_TRY {
                AIO_AWAIT(aio_ref(self->closing));
                UNREACHED();
            } AIO_CATCH_ALL {
                CAUGHT(AIO_ECANCELLED);
            } AIO_END_TRY;
        }
        aio_unref(self->closing);
        self->closing = NULL;
        CHECK_INT(fcntl(self->fd, F_GETFD), -1);
    }
    AIO_FINALLY;
        if (self->closing) aio_future_cancel(self->closing);
        aio_unref(self->closing);
        aio_file_close(self->file);
    AIO_END;
}

/* What goes wrong says where, and how far it came; what cannot be is refused. */
struct disk_wrong { aio_task task; aio_file *file, *fifo; char byte, path[80]; int i, reader; };
SCENARIO(disk_wrong, DISK_MAY)
{
    static const struct { int code; const char *message; } wrong[] = {
        { ENOENT, "open /nowhere/file: No such file or directory" }, { EINVAL, "open: the mode is invalid" },
        { EBADF, "write /dev/null: after 0 bytes: it is closed, or not open for that" },
        { EINVAL, "read: no data, or no offset" }, { ENOENT, "stat /nowhere: No such file or directory" },
        { ENOENT, "rename /nowhere to /tmp/nowhere: No such file or directory" },
        { ENOENT, "listdir /nowhere: No such file or directory" }, { EINVAL, "unlink: no path" },
        { ENOENT, "rmdir /nowhere: No such file or directory" },
        { ENOENT, "mkdir /nowhere/a: No such file or directory" },
        { ENOENT, "lstat /nowhere: No such file or directory" },
        { EINVAL, "open: the mode is invalid" }, { EINVAL, "open: the mode is invalid" },
        { EINVAL, "open: the mode is invalid" }, { EINVAL, "open: no path" }, { EINVAL, "read: no data, or no offset" },
        { EINVAL, "write: no file" }, { EINVAL, "write: no data, or no offset" }, { EINVAL, "read: no file" },
        { EINVAL, "readline: no file" }, { EINVAL, "truncate: no length" }, { EINVAL, "fsync: no file" },
        { EINVAL, "close: no file" }, { EINVAL, "rename: no path" }, { EINVAL, "rename: no path" },
        { EINVAL, "mkdir: the mode is invalid" }, { EINVAL, "listdir: no path" }, { EINVAL, "stat: no path" }
    };
    AIO_BEGIN(disk_wrong);
    disk_name(self->path, sizeof self->path, "fifo");
    ALWAYS(mkfifo(self->path, 0600) == 0 && (self->reader = open(self->path, O_RDONLY | O_NONBLOCK)) > 0);
    AIO_AWAIT(self->fifo, aio_file_open(self->path, "a"));
    close(self->reader);
    self->reader = 0;
    AIO_TRY {
        AIO_AWAIT(aio_file_write(self->fifo, "x", 1)); /* not the signal of a pipe that nobody reads */
        UNREACHED();
    } AIO_CATCH {
        CAUGHT(ESPIPE);
    } AIO_END_TRY;
    AIO_AWAIT(self->file, aio_file_open("/dev/null", "r"));
    for (self->i = 0; self->i < (int)(sizeof wrong / sizeof *wrong); self->i++) {
        AIO_TRY {
            if (self->i == 0) AIO_AWAIT(aio_file_open("/nowhere/file", "r"));
            if (self->i == 1) AIO_AWAIT(aio_file_open("/dev/null", "rz"));
            if (self->i == 2) AIO_AWAIT(aio_file_write(self->file, "x", 1));
            if (self->i == 3) AIO_AWAIT(aio_file_pread(self->file, NULL, 1, 0));
            if (self->i == 4) AIO_AWAIT(aio_stat("/nowhere"));
            if (self->i == 5) AIO_AWAIT(aio_rename("/nowhere", "/tmp/nowhere"));
            if (self->i == 6) AIO_AWAIT(aio_listdir("/nowhere"));
            if (self->i == 7) AIO_AWAIT(aio_unlink(NULL));
            if (self->i == 8) AIO_AWAIT(aio_rmdir("/nowhere"));
            if (self->i == 9) AIO_AWAIT(aio_mkdir("/nowhere/a", 0));
            if (self->i == 10) AIO_AWAIT(aio_lstat("/nowhere"));
            if (self->i == 11) AIO_AWAIT(aio_file_open("/dev/null", "r", .mode = -1));
            if (self->i == 12) AIO_AWAIT(aio_file_open("/dev/null", "rx"));
            if (self->i == 13) AIO_AWAIT(aio_file_open("/dev/null", ""));
            if (self->i == 14) AIO_AWAIT(aio_file_open(NULL, "r"));
            if (self->i == 15) AIO_AWAIT(aio_file_pread(self->file, &self->byte, 1, -1));
            if (self->i == 16) AIO_AWAIT(aio_file_write(NULL, "x", 1));
            if (self->i == 17) AIO_AWAIT(aio_file_pwrite(self->file, "x", 1, -1));
            if (self->i == 18) AIO_AWAIT(aio_file_read(NULL, 1));
            if (self->i == 19) AIO_AWAIT(aio_file_readline(NULL));
            if (self->i == 20) AIO_AWAIT(aio_file_truncate(self->file, -1));
            if (self->i == 21) AIO_AWAIT(aio_file_sync(NULL));
            if (self->i == 22) AIO_AWAIT(aio_file_wait_closed(NULL));
            if (self->i == 23) AIO_AWAIT(aio_rename("/nowhere", NULL));
            if (self->i == 24) AIO_AWAIT(aio_rename(NULL, "/nowhere"));
            if (self->i == 25) AIO_AWAIT(aio_mkdir("/nowhere/a", -1));
            if (self->i == 26) AIO_AWAIT(aio_listdir(NULL));
            if (self->i == 27) AIO_AWAIT(aio_stat(NULL));
            UNREACHED();
        } AIO_CATCH {
            CAUGHT(wrong[self->i].code);
            if (!seam.fired) CHECK_STR(aio_caught(self)->message, wrong[self->i].message);
        } AIO_END_TRY;
    }
    AIO_FINALLY;
        aio_file_close(self->file);
        aio_file_close(self->fifo);
        if (self->reader > 0) close(self->reader);
        unlink(self->path);
    AIO_END;
}

/* Bytes of several jobs, whose number is counted: each goes on where the one before ended. One way is enough: it is the
 * same code as that of small files, in which faults are tried. */
struct disk_pieces { aio_task task; aio_file *file; char *bytes, path[80]; aio_text text; size_t n; };
SCENARIO(disk_pieces, .skip = ~KIND_PLAIN)
{
    enum { PIECES_SIZE = 2 * AIO__DISK_PIECE + 1000 };
    AIO_BEGIN(disk_pieces);
    disk_name(self->path, sizeof self->path, "pieces");
    self->bytes = (char *)aio__malloc(PIECES_SIZE);
    REQUIRE(self->bytes);
    for (size_t i = 0; i < PIECES_SIZE; i++) self->bytes[i] = (char)(i * 7 + i / AIO__DISK_PIECE);
    AIO_AWAIT(self->file, aio_file_open(self->path, "w+"));
    AIO_AWAIT(aio_file_write(self->file, self->bytes, PIECES_SIZE));
    CHECK_INT(seam.calls[CALL_pwrite], 3);
    CHECK_INT(aio_file_tell(self->file), PIECES_SIZE);
    aio_file_seek(self->file, 0);
    AIO_AWAIT(self->text, aio_file_read_all(self->file, PIECES_SIZE));
    CHECK(self->text.length == PIECES_SIZE && memcmp(self->text.data, self->bytes, PIECES_SIZE) == 0);
    memset(self->bytes, 0, PIECES_SIZE);
    AIO_AWAIT(self->n, aio_file_pread(self->file, self->bytes, PIECES_SIZE - 1, 1));
    CHECK_INT(self->n, PIECES_SIZE - 1);
    for (size_t i = 0; i + 1 < PIECES_SIZE; i += 999)
        if (self->bytes[i] != (char)((i + 1) * 7 + (i + 1) / AIO__DISK_PIECE)) CHECK_INT(i, -1);
    AIO_FINALLY;
        aio__free(self->bytes);
        aio_file_close(self->file);
        unlink(self->path);
    AIO_END;
}

/* Lines of any length, the last one without its end; writes and seeks in between. */
struct disk_lines { aio_task task; aio_file *file; char path[80], *big; aio_text line; aio_future *writing; int i; };
SCENARIO(disk_lines, DISK_MAY)
{
    AIO_BEGIN(disk_lines);
    disk_name(self->path, sizeof self->path, "lines");
    AIO_AWAIT(self->file, aio_file_open(self->path, "w+"));
    self->big = (char *)aio__malloc(20000);
    REQUIRE(self->big);
    memset(self->big, 'x', 20000);
    AIO_AWAIT(aio_file_write(self->file, "one\n\n", 5));
    AIO_AWAIT(aio_file_write(self->file, self->big, 20000));
    AIO_AWAIT(aio_file_write(self->file, "\nlast", 5));
    aio_file_seek(self->file, 0);
    AIO_ASYNC_FOR(self->line, aio_file_readline(self->file)) {
        static const size_t lengths[] = { 4, 1, 20001, 4 };
        REQUIRE(self->i < 4);
        CHECK_INT(self->line.length, lengths[self->i]);
        CHECK_INT(self->line.data[self->line.length], 0);
        self->i++;
    }
    CHECK_INT(self->i, 4);
    CHECK_INT(aio_file_tell(self->file), 20010);
    AIO_AWAIT(self->line, aio_file_readline(self->file));
    CHECK_INT(self->line.length, 0);
    CHECK_STR(self->line.data, ""); /* a text like the others */
    aio_file_seek(self->file, 0);
    AIO_AWAIT(self->line, aio_file_readline(self->file));
    AIO_AWAIT(aio_file_pwrite(self->file, "two\n", 4, 4));
    AIO_AWAIT(self->line, aio_file_readline(self->file)); /* not what was read ahead */
    CHECK_STR(self->line.data, "two\n");
    memset(self->big, 'y', 20000);
    for (self->i = 0; self->i < 4; self->i++)
        AIO_AWAIT(aio_file_pwrite(self->file, self->big, 20000, 8 + 20000 * self->i));
    AIO_TRY {
        AIO_AWAIT(self->line, aio_file_readline(self->file));
        UNREACHED();
    } AIO_CATCH {
        CAUGHT(AIO_ELIMIT);
        if (!seam.fired) CHECK(strstr(aio_caught(self)->message, "longer than the limit of 65536 bytes") != NULL);
    } AIO_END_TRY;
    self->writing = aio_create_task(aio_file_write(self->file, self->big, 20000));
    REQUIRE(self->writing);
    AIO_AWAIT(aio_sleep(0));
    AIO_TRY {
        AIO_AWAIT(self->line, aio_file_readline(self->file)); /* not that the line which it had begun is too long */
        if (!seam.fired) UNREACHED();
    } AIO_CATCH {
        if (!seam.fired) CAUGHT(AIO_ERUNTIME);
    } AIO_END_TRY;
    AIO_FINALLY;
        fd_end_task(self->writing);
        aio__free(self->big);
        aio_file_close(self->file);
        unlink(self->path);
    AIO_END;
}

/* What was read ahead while another one wrote is not what it has written. One thread: it reads between two pieces of
 * what is written. */
struct disk_changed { aio_task task; aio_file *file; aio_executor *executor; aio_future *writing; char *data, path[80];
                      aio_text line; };
SCENARIO(disk_changed, .skip = ~KIND_PLAIN)
{
    enum { CHANGED_SIZE = AIO__DISK_PIECE + 4 };
    AIO_BEGIN(disk_changed);
    self->executor = aio_executor_open(.max_workers = 1);
    REQUIRE(self->executor && aio_loop_set_default_executor(aio_get_running_loop(), self->executor) == 0);
    self->executor = NULL; /* the loop's */
    disk_name(self->path, sizeof self->path, "changed");
    self->data = (char *)aio__malloc(CHANGED_SIZE);
    REQUIRE(self->data);
    memset(self->data, '\n', CHANGED_SIZE);
    memcpy(self->data + AIO__DISK_PIECE - 4, "one\nold", 7);
    AIO_AWAIT(self->file, aio_file_open(self->path, "w+"));
    AIO_AWAIT(aio_file_write(self->file, self->data, CHANGED_SIZE));
    memcpy(self->data + AIO__DISK_PIECE, "new", 3);
    aio_file_seek(self->file, AIO__DISK_PIECE - 4);
    self->writing = (aio_future *)aio_create_task(aio_file_pwrite(self->file, self->data, CHANGED_SIZE, 0));
    REQUIRE(self->writing);
    AIO_AWAIT(aio_sleep(0));
    AIO_AWAIT(self->line, aio_file_readline(self->file));
    CHECK_STR(self->line.data, "one\n");
    AIO_AWAIT(aio_ref(self->writing));
    AIO_AWAIT(self->line, aio_file_readline(self->file));
    CHECK_STR(self->line.data, "new\n");
    AIO_FINALLY;
        aio_executor_close(self->executor);
        fd_end_task(self->writing);
        aio__free(self->data);
        aio_file_close(self->file);
        unlink(self->path);
    AIO_END;
}

/* A body is what stands behind the position, also when it is sent again. */
struct disk_rewound { aio_task task; aio_file *file; aio_producer body; char path[80]; aio_text text; };
SCENARIO(disk_rewound, DISK_MAY)
{
    AIO_BEGIN(disk_rewound);
    disk_name(self->path, sizeof self->path, "rewound");
    AIO_AWAIT(self->file, aio_file_open(self->path, "w+"));
    AIO_AWAIT(aio_file_write(self->file, "head body", 9));
    aio_file_seek(self->file, 5);
    self->body = aio_file_producer(self->file);
    AIO_AWAIT(self->text, self->body.next(self->body.arg));
    CHECK_STR(self->text.data, "body");
    CHECK(self->body.rewind(self->body.arg));
    AIO_AWAIT(self->text, self->body.next(self->body.arg));
    CHECK_STR(self->text.data, "body");
    AIO_FINALLY;
        aio_file_close(self->file);
        unlink(self->path);
    AIO_END;
}

/* Where off_t is short, too, a place far behind the end is that place, or an error: it has no other place in the file. */
struct disk_far { aio_task task; aio_file *file; char path[80], byte[1]; size_t n; int i, refused; aio_file_info info; };
SCENARIO(disk_far, DISK_MAY)
{
    AIO_BEGIN(disk_far);
    disk_name(self->path, sizeof self->path, "far");
    AIO_AWAIT(self->file, aio_file_open(self->path, "w+"));
    AIO_AWAIT(aio_file_write(self->file, "near", 4));
    for (self->i = 0; self->i < 3; self->i++) {
        AIO_TRY {
            if (self->i == 0) AIO_AWAIT(self->n, aio_file_pread(self->file, self->byte, 1, INT64_C(1) << 32));
            CHECK_INT(self->n, 0);
            if (self->i == 1) AIO_AWAIT(aio_file_pwrite(self->file, "far", 3, INT64_C(1) << 32));
            if (self->i == 2) AIO_AWAIT(aio_file_truncate(self->file, INT64_C(1) << 32));
        } AIO_CATCH {
            if (!seam.fired) CAUGHT(EOVERFLOW);
            self->refused++;
        } AIO_END_TRY;
    }
    AIO_AWAIT(self->n, aio_file_pread(self->file, self->byte, 1, 0));
    CHECK_BYTES(self->byte, self->n, "n");
    AIO_AWAIT(self->info, aio_stat(self->path));
    if (!seam.fired) CHECK(self->info.size == (sizeof(off_t) < 8 ? 4 : INT64_C(1) << 32));
    if (!seam.fired) CHECK_INT(self->refused, sizeof(off_t) < 8 ? 3 : 0);
    AIO_FINALLY;
        aio_file_close(self->file);
        unlink(self->path);
    AIO_END;
}

/* Folders: made, listed in order, renamed in, emptied, removed. */
struct disk_folder { aio_task task; char folder[80], a[90], b[90]; aio_file *file; aio_listing *listing;
                     aio_file_info info; };
SCENARIO(disk_folder, DISK_MAY)
{
    AIO_BEGIN(disk_folder);
    disk_name(self->folder, sizeof self->folder, "folder");
    snprintf(self->a, sizeof self->a, "%s/zeta", self->folder);
    snprintf(self->b, sizeof self->b, "%s/alpha", self->folder);
    AIO_AWAIT(aio_mkdir(self->folder, 0700));
    AIO_AWAIT(self->info, aio_stat(self->folder));
    CHECK(self->info.is_dir && !self->info.is_file && self->info.mode == 0700 && self->info.modified > 1e9);
    AIO_AWAIT(self->file, aio_file_open(self->a, "w"));
    AIO_AWAIT(aio_file_write(self->file, "12345", 5));
    AIO_AWAIT(self->info, aio_stat(self->a));
    CHECK(self->info.is_file && self->info.size == 5);
    aio_file_close(self->file);
    self->file = NULL;
    AIO_AWAIT(self->file, aio_file_open(self->b, "w"));
    AIO_AWAIT(self->listing, aio_listdir(self->folder));
    REQUIRE(self->listing->count == 2);
    CHECK_STR(self->listing->names[0], "alpha");
    CHECK_STR(self->listing->names[1], "zeta");
    CHECK_PTR(self->listing->names[2], NULL);
    AIO_AWAIT(aio_rename(self->a, self->b));
    AIO_AWAIT(self->info, aio_stat(self->b));
    CHECK_INT(self->info.size, 5);
    CHECK(symlink("alpha", self->a) == 0);
    AIO_AWAIT(self->info, aio_stat(self->a));
    CHECK(self->info.is_file && !self->info.is_link && self->info.size == 5);
    AIO_AWAIT(self->info, aio_lstat(self->b));
    CHECK(self->info.is_file && !self->info.is_link);
    AIO_AWAIT(aio_unlink(self->b));
    AIO_AWAIT(self->info, aio_lstat(self->a)); /* leads nowhere now */
    CHECK(self->info.is_link && !self->info.is_file && !self->info.is_dir && self->info.size == 5);
    AIO_AWAIT(aio_unlink(self->a));
    aio_listing_free(self->listing);
    self->listing = NULL;
    AIO_AWAIT(self->listing, aio_listdir(self->folder));
    CHECK_INT(self->listing->count, 0);
    AIO_AWAIT(aio_rmdir(self->folder));
    AIO_FINALLY;
        aio_file_close(self->file);
        aio_listing_free(self->listing);
        unlink(self->a);
        unlink(self->b);
        rmdir(self->folder);
    AIO_END;
}

/* One call at a time at the position, any number at offsets; what is closed meanwhile stays until they have ended. */
struct disk_together { aio_task task; aio_file *file; char path[80], one[4], two[4]; void *calls[3]; int i; };
SCENARIO(disk_together, DISK_MAY)
{
    AIO_BEGIN(disk_together);
    disk_name(self->path, sizeof self->path, "together");
    AIO_AWAIT(self->file, aio_file_open(self->path, "w+"));
    AIO_AWAIT(aio_file_write(self->file, "12345678", 8));
    self->calls[0] = aio_create_task(aio_file_pread(self->file, self->one, 4, 0));
    self->calls[1] = aio_create_task(aio_file_pread(self->file, self->two, 4, 4));
    aio_file_seek(self->file, 2);
    self->calls[2] = aio_create_task(aio_file_read(self->file, 3));
    AIO_AWAIT(aio_sleep(0));
    AIO_TRY {
        AIO_AWAIT(aio_file_write(self->file, "x", 1));
        if (!seam.fired) UNREACHED();
    } AIO_CATCH {
        CAUGHT(AIO_ERUNTIME);
    } AIO_END_TRY;
    aio_file_seek(self->file, 8); /* nor does another one move it */
    AIO_AWAIT(aio_gather(self->calls, 3));
    if (!seam.fired) CHECK_INT(aio_file_tell(self->file), 5);
    CHECK_BYTES(self->one, 4, "1234");
    CHECK_BYTES(self->two, 4, "5678");
    CHECK_BYTES(((aio_text_task *)self->calls[2])->result.data, 3, "345");
    aio_unref(self->calls[0]);
    self->calls[0] = aio_create_task(aio_file_pread(self->file, self->one, 4, 0));
    AIO_AWAIT(aio_sleep(0));
    aio_file_close(self->file);
    self->file = NULL;
    AIO_AWAIT((aio_future *)aio_ref(self->calls[0]));
    AIO_AWAIT(self->file, aio_file_open(self->path, "r"));
    for (int i = 0; i < 3; i++) aio_unref(self->calls[i]);
    self->calls[0] = aio_create_task(aio_file_pread(self->file, self->one, 4, 0)); /* these begin when it is closed */
    self->calls[1] = aio_create_task(aio_file_readline(self->file));
    self->calls[2] = aio_file_sync(self->file);
    if (self->calls[2]) aio_future_cancel(self->calls[2]); /* and this one never */
    CHECK_INT(self->file->refs, 1 + !!self->calls[0] + !!self->calls[1] + !!self->calls[2]);
    aio_unref(self->calls[2]);
    self->calls[2] = NULL;
    CHECK_INT(self->file->refs, 1 + !!self->calls[0] + !!self->calls[1]);
    aio_file_close(self->file);
    self->file = NULL;
    for (self->i = 0; self->i < 2; self->i++) {
        AIO_TRY {
            AIO_AWAIT((aio_future *)aio_ref(self->calls[self->i]));
            UNREACHED();
        } AIO_CATCH {
            CAUGHT(EBADF);
        } AIO_END_TRY;
    }
    AIO_FINALLY;
        for (int i = 0; i < 3; i++) fd_end_task(self->calls[i]);
        aio_file_close(self->file);
        unlink(self->path);
    AIO_END;
}

/* A server sends a file that threads read, a client's threads write it; the same as a request's body. */
static char disk_path[80];
struct disk_serve { aio_task task; aio_request *request; aio_file *file; aio_text piece; };
static AIO_CORO(disk_serve)
{
    static const char *const elsewhere[] = { "Location", "/", NULL };
    AIO_BEGIN(disk_serve);
    AIO_AWAIT(self->file, aio_file_open(disk_path, "r"));
    AIO_AWAIT(self->piece, aio_request_read(self->request));
    if (strstr(self->request->target.data, "moved")) {
        AIO_AWAIT(aio_request_respond(self->request, 307, .headers = elsewhere));
        AIO_RETURN();
    }
    CHECK_INT(self->piece.length, aio_file_size(self->file));
    AIO_AWAIT(aio_request_start(self->request, 200, .length = self->piece.length));
    AIO_ASYNC_FOR(self->piece, aio_file_read(self->file, 65536))
        AIO_AWAIT(aio_request_chunk(self->request, self->piece.data, self->piece.length));
    AIO_AWAIT(aio_request_end(self->request));
    AIO_FINALLY;
        aio_file_close(self->file);
    AIO_END;
}
static void *disk_handler(aio_request *request, void *arg)
{
    (void)arg;
    return AIO_CALL(disk_serve, .request = request);
}

struct disk_bodies { aio_task task; aio_server *server; aio_session *session; aio_response *response; aio_file *file;
                     char path[80], url[60], *data; size_t size, n; aio_text text; };
SCENARIO(disk_bodies, .may = { EMFILE, EIO, ENOSPC, EAGAIN, AIO_EPAYLOAD, AIO_EDISCONNECTED, AIO_ETIMEOUT, ECONNRESET })
{
    AIO_BEGIN(disk_bodies);
    self->size = much(300000);
    disk_name(disk_path, sizeof disk_path, "from");
    disk_name(self->path, sizeof self->path, "to");
    self->data = (char *)malloc(self->size);
    for (size_t i = 0; i < self->size; i++) self->data[i] = (char)(i % 251);
    AIO_AWAIT(self->file, aio_file_open(disk_path, "w+"));
    AIO_AWAIT(aio_file_write(self->file, self->data, self->size));
    aio_file_seek(self->file, 0);
    AIO_AWAIT(self->server, aio_start_http_server(disk_handler, NULL, "127.0.0.1", 0));
    snprintf(self->url, sizeof self->url, "http://127.0.0.1:%d/moved", aio_server_port(self->server));
    REQUIRE((self->session = aio_session_open(.timeout = { .total = 1000 })) != NULL);
    AIO_AWAIT(self->response, aio_session_post(self->session, self->url, .producer = aio_file_producer(self->file)));
    CHECK_INT(self->response->status, 200);
    CHECK_INT(self->response->history_count, 1); /* the file was read again for the second place */
    AIO_AWAIT(self->n, aio_response_save(self->response, self->path));
    CHECK_INT(self->n, self->size);
    CHECK_INT(aio_file_tell(self->file), self->size); /* all of it was sent */
    aio_file_close(self->file);
    self->file = NULL;
    AIO_AWAIT(self->file, aio_file_open(self->path, "r"));
    AIO_AWAIT(self->text, aio_file_read_all(self->file, 0));
    REQUIRE(self->text.length == self->size);
    CHECK_INT(memcmp(self->text.data, self->data, self->size), 0);
    AIO_FINALLY;
        aio_file_close(self->file);
        free(self->data);
        unlink(disk_path);
        unlink(self->path);
        aio_response_release(self->response);
        if (self->server) aio_server_abort_clients(self->server);
        if (self->session) AIO_AWAIT(aio_session_close(self->session));
        if (self->server) AIO_AWAIT(aio_server_wait_closed(self->server));
    AIO_END;
}
