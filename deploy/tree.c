#include "deploy/tree.h"

#include "common/base/memory.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define STAT_BYTES_MAX 1024

/* Of a child of ours that /proc does not show, or not as living. Nobody but us waits for it, so its
 * pid stays its own. */
#define START_UNKNOWN UINT64_MAX

/* How often one look begins again because it found somebody: who was forked behind its back is
 * found by the next one. Not without end, since what forks for ever would keep us here. */
#define ROUNDS_MAX 8

/* ---- lists */

static void add(struct tree_list *list, const struct tree_process *process)
{
    list->items = memory_grow(list->items, &list->capacity, list->count + 1, sizeof *list->items);
    list->items[list->count++] = *process;
}

static int contains(const struct tree_list *list, const struct tree_process *process)
{
    for (size_t i = 0; i < list->count; i++) {
        if (list->items[i].pid == process->pid && list->items[i].start == process->start) {
            return 1;
        }
    }
    return 0;
}

/* ---- what /proc says */

/* 1 if it lives. The name stands in parentheses and may hold some; the numbers come after the last.
 * A process whose first thread has ended is called a zombie as well, and works on in the others. */
static int read_process(pid_t pid, struct tree_process *out)
{
    char path[48];
    char text[STAT_BYTES_MAX];
    char state = '\0';
    int parent = 0;
    long threads = 0;
    unsigned long long start = 0;
    snprintf(path, sizeof path, "/proc/%ld/stat", (long)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t size = fd >= 0 ? read(fd, text, sizeof text - 1) : -1;
    if (fd >= 0) {
        close(fd);
    }
    text[size > 0 ? size : 0] = '\0';
    const char *numbers = strrchr(text, ')');
    if (numbers == NULL ||
        sscanf(numbers + 1,
               " %c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %ld %*d %llu",
               &state, &parent, &threads, &start) != 4) {
        return 0;
    }
    *out = (struct tree_process){.pid = pid, .parent = parent, .start = start};
    return (state != 'Z' && state != 'X') || threads > 1;
}

/* A /proc of another pid namespace gives other processes our numbers. */
static int is_our_proc(void)
{
    char self[32] = "";
    ssize_t size = readlink("/proc/self", self, sizeof self - 1);
    return size > 0 && strtol(self, NULL, 10) == getpid();
}

static void read_all(struct tree_list *all)
{
    DIR *dir = is_our_proc() ? opendir("/proc") : NULL;
    struct tree_process process;
    if (dir == NULL) {
        return;
    }
    for (const struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        long pid = strtol(entry->d_name, NULL, 10); /* 0 of a name that is no number */
        if (pid > 0 && pid != getpid() && read_process((pid_t)pid, &process)) {
            add(all, &process);
        }
    }
    closedir(dir);
}

/* Everybody below us but strangers, parents before their children: told in this order, a shell ends
 * before it sees that its command has, and does not go on to the next one. */
static struct tree_list find(const struct tree *tree)
{
    struct tree_list all = {NULL, 0, 0};
    struct tree_list found = {NULL, 0, 0};
    read_all(&all);
    for (size_t above = 0; above <= found.count; above++) {
        pid_t parent = above == 0 ? getpid() : found.items[above - 1].pid;
        for (size_t i = 0; i < all.count; i++) {
            if (all.items[i].parent == parent && !contains(&tree->strangers, &all.items[i])) {
                all.items[i].above = above;
                add(&found, &all.items[i]);
            }
        }
    }
    free(all.items);
    return found;
}

/* The same, and the command's own process even if /proc does not show it: it is not mounted, or
 * hides what another user runs, which a command with the set-user-ID bit counts as. */
static struct tree_list find_all(const struct tree *tree, pid_t command)
{
    struct tree_list found = find(tree);
    int is_found = command == 0;
    for (size_t i = 0; i < found.count && !is_found; i++) {
        is_found = found.items[i].pid == command;
    }
    if (!is_found) {
        add(&found, &(struct tree_process){.pid = command, .start = START_UNKNOWN});
    }
    return found;
}

/* ---- signals */

/* 0, or ESRCH if it is gone, or why it cannot be. The descriptor holds on to whoever has the pid;
 * only then is it known that it is still the one that was found. A kernel, or a filter of calls,
 * that has no such descriptors leaves a moment in which the pid could be used again. */
static int send_signal(const struct tree_process *process, int signal)
{
    struct tree_process now;
    int rc = 0;
    int fd = pidfd_open(process->pid, 0);
    if (process->start != START_UNKNOWN &&
        (!read_process(process->pid, &now) || now.start != process->start)) {
        rc = ESRCH;
    } else if (fd >= 0 ? pidfd_send_signal(fd, signal, NULL, 0) != 0
                       : kill(process->pid, signal) != 0) {
        rc = errno;
    }
    if (fd >= 0) {
        close(fd);
    }
    return rc;
}

/* The due ones of a tree: who has not been told, and has not been started by one who has. Orphans
 * are children of ours, whoever started them. Who was forked between the look and the signal is let
 * be as well if its parent hears the signal and lives on: SIGKILL is for those. */
static void mark_due(const struct tree *tree, struct tree_list *found)
{
    for (size_t i = 0; i < found->count; i++) {
        struct tree_process *process = &found->items[i];
        int is_let_be = process->above > 0 && !found->items[process->above - 1].is_due;
        process->is_due = !is_let_be && !contains(&tree->told, process);
    }
}

void tree_tell(struct tree *tree, pid_t command)
{
    int count = 1;
    for (int round = 0; count > 0 && round < ROUNDS_MAX; round++) {
        struct tree_list found = find_all(tree, command);
        mark_due(tree, &found);
        count = 0;
        for (size_t i = 0; i < found.count; i++) {
            if (found.items[i].is_due) {
                send_signal(&found.items[i], SIGTERM);
                send_signal(&found.items[i], SIGCONT); /* one that was stopped would not hear it */
                add(&tree->told, &found.items[i]);
                count++;
            }
        }
        free(found.items);
    }
}

void tree_kill(struct tree *tree, pid_t command)
{
    int count = 1;
    for (int round = 0; count > 0 && round < ROUNDS_MAX; round++) {
        struct tree_list found = find_all(tree, command);
        tree->refused.count = 0;
        tree->left_count = found.count;
        count = 0;
        for (size_t i = 0; i < found.count; i++) {
            int rc = contains(&tree->killed, &found.items[i])
                         ? ESRCH
                         : send_signal(&found.items[i], SIGKILL);
            if (rc == 0) {
                add(&tree->killed, &found.items[i]);
                count++;
            } else if (rc != ESRCH) {
                add(&tree->refused, &found.items[i]);
            }
        }
        free(found.items);
    }
}

/* ---- from the beginning to the end */

/* The kernel knows it without a moment in which somebody could be between two parents. */
static int has_child(void)
{
    siginfo_t info;
    return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 || errno != ECHILD;
}

/* Children of a shell that has become us by exec are strangers. */
void tree_init(struct tree *tree)
{
    *tree = (struct tree){.left_count = 0};
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    if (has_child()) {
        tree->strangers = find(tree);
    }
}

static int is_any_found(const struct tree *tree)
{
    struct tree_list found = find(tree);
    free(found.items);
    return found.count > 0;
}

/* With strangers there are always children; then two looks in a row that find nobody have to be
 * enough. */
int tree_is_empty(const struct tree *tree)
{
    return !has_child() ||
           (tree->strangers.count > 0 && !is_any_found(tree) && !is_any_found(tree));
}

void tree_close(struct tree *tree)
{
    free(tree->strangers.items);
    free(tree->told.items);
    free(tree->killed.items);
    free(tree->refused.items);
}
