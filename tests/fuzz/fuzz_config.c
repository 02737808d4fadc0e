/* Bytes as a configuration file. What is refused is refused in one line, and what is taken prints
 * as a file that says the same. */
#include "node/config/config.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

/* A file that is nowhere but in memory, and its path. */
struct file {
    int fd;
    char path[64];
};

/* What the program prints. */
struct print {
    FILE *stream;
    char *text;
    size_t len;
};

static struct file file_new(void)
{
    struct file file = {.fd = memfd_create("allocd.conf", MFD_CLOEXEC)};
    if (file.fd < 0)
        abort();
    snprintf(file.path, sizeof file.path, "/proc/self/fd/%d", file.fd);
    return file;
}

static void file_set(const struct file *file, const void *data, size_t len)
{
    if (ftruncate(file->fd, 0) != 0 || pwrite(file->fd, data, len, 0) != (ssize_t)len)
        abort();
}

static void print_begin(struct print *print)
{
    print->stream = open_memstream(&print->text, &print->len);
    if (print->stream == NULL)
        abort();
}

static enum config_verdict read_file(struct file *file, struct print *out, struct print *err)
{
    static char program[] = "allocd";
    static char config_flag[] = "--config";
    static char print_flag[] = "--print-config";
    char *arguments[] = {program, config_flag, file->path, print_flag, NULL};
    struct config config;
    print_begin(out);
    print_begin(err);
    enum config_verdict verdict =
        config_from_arguments(4, arguments, &config, out->stream, err->stream);
    fclose(out->stream);
    fclose(err->stream);
    return verdict;
}

static void check_line(const struct print *err)
{
    assert(err->len > 0 && memchr(err->text, '\n', err->len) == err->text + err->len - 1);
    for (size_t i = 0; i + 1 < err->len; i++)
        assert((unsigned char)err->text[i] >= ' ');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct file file = {.fd = -1};
    if (file.fd < 0)
        file = file_new();
    struct print out;
    struct print err;
    file_set(&file, data, size);
    enum config_verdict verdict = read_file(&file, &out, &err);
    if (verdict == CONFIG_DONE) {
        struct print again;
        struct print complaint;
        file_set(&file, out.text, out.len);
        assert(err.len == 0);
        assert(read_file(&file, &again, &complaint) == CONFIG_DONE);
        assert(again.len == out.len && memcmp(again.text, out.text, out.len) == 0);
        free(again.text);
        free(complaint.text);
    } else {
        assert(verdict == CONFIG_WRONG && out.len == 0);
        check_line(&err);
    }
    free(out.text);
    free(err.text);
    return 0;
}
