#include "deploy/job.h"

#include "common/runtime/log.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define VARIABLES_BYTES_MAX 16384

static int describe(int status)
{
    return WIFSIGNALED(status) ? JOB_SIGNALLED + WTERMSIG(status) : WEXITSTATUS(status);
}

static int fail_start(const char *name, int error)
{
    log_error("%.200s cannot be started (%s); try: its full path", name, strerror(error));
    return error == ENOENT ? JOB_NOT_FOUND : JOB_NOT_EXECUTABLE;
}

/* SIGCHLD that a parent ignored stays ignored in its programs, and the kernel would throw away how
 * the command ended. */
static void keep_statuses(void)
{
    signal(SIGCHLD, SIG_DFL);
}

/* ---- prepared */

/* Reads to the end of what is written. Answers its size, or 0 if nobody wrote. */
static size_t read_to_end(int fd, char *out, size_t size)
{
    size_t used = 0;
    ssize_t n = 0;
    do {
        n = read(fd, out + used, size - used);
        used += n > 0 ? (size_t)n : 0;
    } while (n > 0 || (n < 0 && errno == EINTR));
    return used;
}

/* The child. The process had one thread when it was forked, so it may do whatever it wants. */
static _Noreturn void become(char **command, int go_fd, int verdict_fd, pid_t parent)
{
    static char variables[VARIABLES_BYTES_MAX];
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent) {
        _exit(JOB_NOT_EXECUTABLE); /* it died before it could be watched */
    }
    size_t size = read_to_end(go_fd, variables, sizeof variables);
    if (size == 0) {
        _exit(0);
    }
    for (size_t at = 0; at < size; at += strlen(variables + at) + 1) {
        putenv(variables + at);
    }
    execvp(command[0], command);
    int error = errno;
    ssize_t n = write(verdict_fd, &error, sizeof error);
    _exit(n > 0 ? JOB_NOT_FOUND : JOB_NOT_EXECUTABLE);
}

int job_prepare(struct job *job, char **command)
{
    int go[2] = {-1, -1};
    int verdict[2] = {-1, -1};
    pid_t parent = getpid();
    pid_t pid = -1;
    keep_statuses();
    if (pipe2(go, O_CLOEXEC) == 0 && pipe2(verdict, O_CLOEXEC) == 0) {
        pid = fork();
    }
    if (pid == 0) {
        close(go[1]);
        close(verdict[0]);
        become(command, go[0], verdict[1], parent);
    }
    if (pid < 0) {
        log_error("no process for the command (%s); try: again when the machine has more room",
                  strerror(errno));
        return 1;
    }
    close(go[0]);
    close(verdict[1]);
    *job = (struct job){.pid = pid, .go_fd = go[1], .verdict_fd = verdict[0], .name = command[0]};
    return 0;
}

int job_start(struct job *job, const char *const *variables)
{
    int error = 0;
    int is_sent = 1;
    for (; is_sent && *variables != NULL; variables++) {
        size_t size = strlen(*variables) + 1;
        is_sent = write(job->go_fd, *variables, size) == (ssize_t)size;
    }
    close(job->go_fd);
    job->go_fd = -1;
    ssize_t n = read(job->verdict_fd, &error, sizeof error);
    close(job->verdict_fd);
    if (is_sent && n == 0) {
        return 0;
    }
    waitpid(job->pid, NULL, 0);
    job->pid = 0;
    return fail_start(job->name, n > 0 ? error : ECHILD);
}

int job_reap(struct job *job, int *status)
{
    int raw = 0;
    int has_ended = 0;
    pid_t pid = waitpid(-1, &raw, WNOHANG);
    for (; pid > 0; pid = waitpid(-1, &raw, WNOHANG)) {
        if (pid == job->pid) {
            job->pid = 0;
            *status = describe(raw);
            has_ended = 1;
        }
    }
    return has_ended;
}

void job_drop(struct job *job)
{
    if (job->pid != 0) {
        close(job->go_fd);
        close(job->verdict_fd);
        waitpid(job->pid, NULL, 0);
        job->pid = 0;
    }
}

/* ---- run at once */

/* The bytes as a file without a name: a pipe would have to be fed while the command runs. */
static int input_file(const void *input, size_t size)
{
    int fd = memfd_create("synod-value", MFD_CLOEXEC);
    size_t written = 0;
    while (fd >= 0 && written < size) {
        ssize_t n = write(fd, (const char *)input + written, size - written);
        if (n <= 0 && errno != EINTR) {
            close(fd);
            return -1;
        }
        written += n > 0 ? (size_t)n : 0;
    }
    if (fd >= 0) {
        lseek(fd, 0, SEEK_SET);
    }
    return fd;
}

static int spawn(pid_t *pid, char **command, int input)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none;
    sigset_t pipes;
    sigemptyset(&none);
    sigemptyset(&pipes);
    sigaddset(&pipes, SIGPIPE); /* which the output of verbs ignores */
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO);
    posix_spawn_file_actions_addclosefrom_np(&actions, STDERR_FILENO + 1);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &pipes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    int error = posix_spawnp(pid, command[0], &actions, &attributes, command, environ);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    return error;
}

int job_run(char **command, const void *input, size_t size)
{
    pid_t pid = 0;
    int status = 0;
    int fd = input_file(input, size);
    keep_statuses();
    if (fd < 0) {
        return fail_start(command[0], errno);
    }
    int error = spawn(&pid, command, fd);
    close(fd);
    if (error != 0) {
        return fail_start(command[0], error);
    }
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
        /* Ctrl-C reaches the command as well; how it ends is its own affair. */
    }
    return describe(status);
}
