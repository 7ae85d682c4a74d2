#include "deploy/dev_probe.h"

#include "common/client/synod.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PROBE_TIMEOUT_MS 1000
#define PROBE_PAUSE_NS 50000000L

int probe_is_running(const struct probe *probe)
{
    return probe->pid != 0;
}

/* Exits 0 when there is a leader, else with 1 after a sentence on fd. */
static _Noreturn void ask(const char *cluster_path, int fd, pid_t parent)
{
    struct synod *s = NULL;
    struct synod_leader leader;
    char why[SYNOD_ERROR_BYTES] = "";
    struct synod_options options = {.cluster = cluster_path, .timeout_ms = PROBE_TIMEOUT_MS};
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    setpgid(0, 0);
    if (getppid() != parent) {
        _exit(1);
    }
    int code = synod_open(&options, &s, why);
    while (code == SYNOD_OK) {
        code = synod_leader(s, &leader);
        if (code == SYNOD_OK) {
            _exit(0);
        }
        if (code == SYNOD_E_UNAVAILABLE || code == SYNOD_E_BUSY) {
            struct timespec pause = {0, PROBE_PAUSE_NS};
            nanosleep(&pause, NULL);
            code = SYNOD_OK;
        } else {
            strncpy(why, synod_error(s), sizeof why - 1);
        }
    }
    _exit(write(fd, why, strlen(why)) >= 0 ? 1 : 2);
}

int probe_start(struct probe *probe, const char *cluster_path, struct errmsg *err)
{
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) != 0) {
        return errmsg_set(err, ERROR_INTERNAL, "cannot make a pipe (%s)", strerror(errno));
    }
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid == 0) {
        close(fds[0]);
        ask(cluster_path, fds[1], parent);
    }
    close(fds[1]);
    if (pid < 0) {
        close(fds[0]);
        return errmsg_set(err, ERROR_INTERNAL, "cannot start a process (%s)", strerror(errno));
    }
    probe->pid = pid;
    probe->fd = fds[0];
    return 0;
}

int probe_look(struct probe *probe, int *leads, struct errmsg *err)
{
    int status = 0;
    *leads = 0;
    if (probe->pid == 0 || waitpid(probe->pid, &status, WNOHANG) != probe->pid) {
        return 0;
    }
    char why[SYNOD_ERROR_BYTES];
    ssize_t n = read(probe->fd, why, sizeof why - 1);
    why[n > 0 ? n : 0] = '\0';
    close(probe->fd);
    probe->pid = 0;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
        *leads = 1;
        return 0;
    }
    return errmsg_set(err, ERROR_INTERNAL, "cannot ask who leads (%s)",
                      why[0] != '\0' ? why : "the question's process died");
}

void probe_stop(struct probe *probe)
{
    if (probe->pid != 0) {
        kill(probe->pid, SIGKILL);
        waitpid(probe->pid, NULL, 0);
        close(probe->fd);
        probe->pid = 0;
    }
}
