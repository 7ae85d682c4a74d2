/* The processes that a command has started, and those that these have started, and so on.
 *
 * A process group of its own would be simpler to signal, but it would not be in the foreground of
 * its terminal: no Ctrl-C, no input. So orphans are adopted (PR_SET_CHILD_SUBREAPER): then whatever
 * descends from the command is a child of ours, or of a child of ours. Who that is /proc/PID/stat
 * says, which every kernel has; /proc/PID/task/TID/children needs an option of it and may leave
 * some out while others end. */
#ifndef SYNOD_DEPLOY_TREE_H
#define SYNOD_DEPLOY_TREE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* A pid is used again. Together with the time of the start it means one process for ever. */
struct tree_process {
    pid_t pid;
    pid_t parent;
    uint64_t start; /* clock ticks since the machine was started */
    size_t above;   /* in a list of descendants: 1 + the parent's place; 0: a child of ours */
    int is_due;     /* gets the signal of this look */
};

struct tree_list {
    struct tree_process *items;
    size_t count;
    size_t capacity;
};

struct tree {
    struct tree_list strangers; /* children that we had before the command; none of its */
    struct tree_list told;      /* who was sent SIGTERM, or refused it */
    struct tree_list killed;    /* who was sent SIGKILL */
    struct tree_list refused;   /* who refused it at the last look: another user's, mostly */
    size_t left_count;          /* how many lived at the last look of tree_kill */
};

/* From now on orphans are adopted. To be called before the command's process is made. */
void tree_init(struct tree *tree);

/* Of both: command is the command's own process as long as nobody has waited for it, 0 afterwards.
 *
 * Sends SIGTERM, and SIGCONT for who was stopped, to everybody who runs. To be called again and
 * again, since a process can hide from one look by changing its parent: nobody is told twice. What
 * somebody starts who has been told is let be until that one ends: it may be cleaning up. */
void tree_tell(struct tree *tree, pid_t command);

/* Sends SIGKILL to everybody, and counts who lives and who refuses it. To be called again and
 * again. */
void tree_kill(struct tree *tree, pid_t command);

/* 1 if none is left, not even one that has ended and was not waited for. */
int tree_is_empty(const struct tree *tree);

void tree_close(struct tree *tree);

#endif
