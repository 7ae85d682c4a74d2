#include "deploy/children.h"

#include "deploy/output.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define READY_TEXT "event=ready"
#define LOG_TAIL_BYTES 4096
#define LOG_LINE_SHOWN_MAX 300

static int is_program(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0;
}

int child_find_program(enum role role, char out[PATH_MAX], struct errmsg *err)
{
    char self[PATH_MAX];
    ssize_t size = readlink("/proc/self/exe", self, sizeof self - 1);
    char *slash = NULL;
    if (size > 0) {
        self[size] = '\0';
        slash = strrchr(self, '/');
    }
    if (slash != NULL) {
        int n =
            snprintf(out, PATH_MAX, "%.*s/synod-%s", (int)(slash - self), self, role_name(role));
        if (n > 0 && n < PATH_MAX && is_program(out)) {
            return 0;
        }
    }
    for (const char *dir = getenv("PATH"); dir != NULL && *dir != '\0';) {
        size_t length = strcspn(dir, ":");
        int n = snprintf(out, PATH_MAX, "%.*s/synod-%s", (int)length, dir, role_name(role));
        if (length > 0 && n > 0 && n < PATH_MAX && is_program(out)) {
            return 0;
        }
        dir += length + (dir[length] == ':');
    }
    return errmsg_set(err, ERROR_NOT_FOUND,
                      "synod-%s is not there (looked beside this synod and in PATH); try: make",
                      role_name(role));
}

/* Between fork and exec: only what is safe there. */
static _Noreturn void become(const struct child *child, const char *cluster_path, int log_fd,
                             pid_t parent)
{
    char id[16];
    snprintf(id, sizeof id, "%u", (unsigned)child->id);
    const char *argv[] = {child->program, "--cluster", cluster_path, "--id", id,
                          "--data",       child->data, NULL};
    if (child->data[0] == '\0') {
        argv[5] = NULL;
    }
    sigset_t none;
    sigemptyset(&none);
    signal(SIGPIPE, SIG_DFL);
    sigprocmask(SIG_SETMASK, &none, NULL);
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* a stopped process would sleep through SIGTERM */
    if (getppid() != parent) {
        _exit(127); /* the parent died before it could be watched */
    }
    int null_fd = open("/dev/null", O_RDONLY);
    if (null_fd >= 0 && dup2(null_fd, 0) == 0 && dup2(log_fd, 1) == 1 && dup2(log_fd, 2) == 2) {
        execv(child->program, (char *const *)(uintptr_t)argv);
    }
    static const char text[] = "event=exec_failed msg=\"cannot execute this program\"\n";
    if (write(log_fd, text, sizeof text - 1) < 0) {
        _exit(126);
    }
    _exit(127);
}

int child_start(struct child *child, const char *cluster_path, time_ms_t now, struct errmsg *err)
{
    int log_fd = open(child->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (log_fd < 0) {
        return errmsg_set(err, ERROR_IO, "cannot write %s (%s); try: a writable --dir", child->log,
                          strerror(errno));
    }
    child->log_seen = lseek(log_fd, 0, SEEK_END);
    child->is_ready = 0;
    child->restart_at = TIME_NEVER;
    child->started_at = now;
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid == 0) {
        become(child, cluster_path, log_fd, parent);
    }
    close(log_fd);
    if (pid < 0) {
        return errmsg_set(err, ERROR_INTERNAL, "cannot start %s (%s)", child->program,
                          strerror(errno));
    }
    child->pid = pid;
    return 0;
}

void child_print(const struct child *child, const char *note)
{
    output_text("%s %u  pid %ld  %s%s%s%s%s\n", role_name(child->role), (unsigned)child->id,
                (long)child->pid, child->peer, child->client != NULL ? "  client " : "",
                child->client != NULL ? child->client : "", note != NULL ? "  " : "",
                note != NULL ? note : "");
}

int child_look_ready(struct child *child)
{
    char text[LOG_TAIL_BYTES + 1];
    if (child->is_ready) {
        return 1;
    }
    int fd = open(child->log, O_RDONLY | O_CLOEXEC);
    while (fd >= 0 && !child->is_ready) {
        ssize_t n = pread(fd, text, LOG_TAIL_BYTES, child->log_seen);
        if (n < (ssize_t)strlen(READY_TEXT)) {
            break;
        }
        text[n] = '\0';
        child->is_ready = strstr(text, READY_TEXT) != NULL;
        child->log_seen += n - (ssize_t)strlen(READY_TEXT) + 1; /* it may straddle two looks */
    }
    if (fd >= 0) {
        close(fd);
    }
    return child->is_ready;
}

int child_reap(struct child *child, int *status)
{
    if (child->pid == 0 || waitpid(child->pid, status, WNOHANG) != child->pid) {
        return 0;
    }
    child->pid = 0;
    return 1;
}

/* The last line that is not empty, cut to size. */
static void last_line(const char *path, char *out, size_t size)
{
    char text[LOG_TAIL_BYTES + 1];
    out[0] = '\0';
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return;
    }
    off_t end = lseek(fd, 0, SEEK_END);
    off_t from = end > LOG_TAIL_BYTES ? end - LOG_TAIL_BYTES : 0;
    ssize_t n = pread(fd, text, LOG_TAIL_BYTES, from);
    close(fd);
    while (n > 0 && text[n - 1] == '\n') {
        n--;
    }
    if (n <= 0) {
        return;
    }
    text[n] = '\0';
    const char *line = strrchr(text, '\n');
    snprintf(out, size, "%.*s", (int)size - 1, line != NULL ? line + 1 : text);
}

void child_describe_end(const struct child *child, int status, char *out, size_t size)
{
    char line[LOG_LINE_SHOWN_MAX];
    last_line(child->log, line, sizeof line);
    int n = WIFSIGNALED(status) ? snprintf(out, size, "signal %d (%s)", WTERMSIG(status),
                                           strsignal(WTERMSIG(status)))
                                : snprintf(out, size, "exit status %d", WEXITSTATUS(status));
    if (n > 0 && (size_t)n < size) {
        snprintf(out + n, size - (size_t)n, "; %s: %s",
                 line[0] != '\0' ? "last line of its log" : "its log is empty",
                 line[0] != '\0' ? line : child->log);
    }
}
