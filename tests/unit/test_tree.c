/* What a command has started, children of children and orphans too, is found, told once and killed;
 * and nobody else is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "deploy/tree.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

/* ---- processes that say what they hear */

enum {
    PLAIN = 0,
    HEARS = 1,    /* writes t for SIGTERM and lives on */
    STARTS = 2,   /* the same, and starts one that HEARS */
    DEAF = 4,     /* ignores SIGTERM */
    STOPPED = 8,  /* stops itself */
    PARENT = 16,  /* has a child of the same kind, but for this */
    VANISHES = 32 /* ends when that child runs */
};

static int said[2]; /* a pipe; each process writes a letter at a time */
static volatile sig_atomic_t is_told;

static void say(char letter)
{
    if (write(said[1], &letter, 1) != 1) {
        _exit(1);
    }
}

static void on_term(int number)
{
    (void)number;
    is_told = 1;
    say('t');
}

static void on_usr1(int number)
{
    (void)number;
    say('u');
}

static pid_t born(int kind);

/* Signals are taken in sigsuspend only, so that none gets lost between a look and a wait. */
static _Noreturn void live(int kind)
{
    sigset_t set;
    alarm(60); /* whatever happens to the test */
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigprocmask(SIG_BLOCK, &set, NULL);
    sigemptyset(&set);
    signal(SIGUSR1, on_usr1);
    signal(SIGTERM, (kind & DEAF) != 0               ? SIG_IGN
                    : (kind & (HEARS | STARTS)) != 0 ? on_term
                                                     : SIG_DFL);
    if ((kind & PARENT) != 0) {
        born(kind & ~(PARENT | VANISHES));
    } else {
        say('r');
    }
    if ((kind & VANISHES) != 0) {
        _exit(0);
    }
    if ((kind & STOPPED) != 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* an alarm does not wake it */
        raise(SIGSTOP);
    }
    for (;;) {
        sigsuspend(&set);
        if ((kind & STARTS) != 0 && is_told) {
            kind = HEARS;
            born(HEARS);
        }
    }
}

static pid_t born(int kind)
{
    pid_t pid = fork();
    if (pid == 0) {
        setsid();
        live(kind);
    }
    return pid;
}

/* The next letter, or 0 when none of them lives. */
static int hear(void)
{
    char letter = 0;
    return read(said[0], &letter, 1) == 1 ? letter : 0;
}

static void expect_heard(const char *letters)
{
    for (; *letters != '\0'; letters++) {
        assert_int_equal(hear(), *letters);
    }
}

/* Nobody else will be born by us. What was not heard must be nothing. */
static void expect_all_dead(void)
{
    close(said[1]);
    assert_int_equal(hear(), 0);
    close(said[0]);
    while (waitpid(-1, NULL, 0) > 0) {
        /* all that ended */
    }
}

static int setup(void **state)
{
    static struct tree tree;
    tree_init(&tree);
    *state = &tree;
    return pipe(said);
}

static int teardown(void **state)
{
    tree_close(*state);
    return 0;
}

/* ---- tests */

/* Proves: a command and its child are told, in sessions of their own, or stopped, and only when
 * both have been waited for is nobody left. */
static void test_tells(void **state)
{
    static const int kinds[] = {PLAIN, PARENT, STOPPED};
    struct tree *tree = *state;
    assert_true(tree_is_empty(tree));
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        int status = 0;
        pid_t command = born(kinds[i]);
        expect_heard("r");
        if (kinds[i] == STOPPED) {
            assert_int_equal(waitpid(command, &status, WUNTRACED), command);
        }
        assert_false(tree_is_empty(tree));
        tree_tell(tree, command);
        assert_int_equal(waitpid(command, &status, 0), command);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
        while (waitpid(-1, NULL, 0) > 0) {
            /* its child, if it has one, was adopted */
        }
        assert_true(tree_is_empty(tree));
    }
    expect_all_dead();
}

/* Proves: an orphan is found when its command is long gone. */
static void test_tells_orphans(void **state)
{
    struct tree *tree = *state;
    pid_t command = born(PARENT | VANISHES);
    assert_int_equal(waitpid(command, NULL, 0), command);
    expect_heard("r");
    assert_false(tree_is_empty(tree));
    tree_tell(tree, 0);
    expect_all_dead();
    assert_true(tree_is_empty(tree));
}

/* Proves: nobody is told twice. */
static void test_tells_once(void **state)
{
    struct tree *tree = *state;
    pid_t command = born(HEARS);
    expect_heard("r");
    tree_tell(tree, command);
    expect_heard("t");
    tree_tell(tree, command);
    kill(command, SIGUSR1);
    expect_heard("u");
    tree_kill(tree, command);
    expect_all_dead();
}

/* Proves: what somebody starts who was told is let be, until it is an orphan. */
static void test_lets_be(void **state)
{
    struct tree *tree = *state;
    pid_t command = born(STARTS);
    expect_heard("r");
    tree_tell(tree, command);
    expect_heard("tr");
    tree_tell(tree, command);
    kill(command, SIGUSR1);
    expect_heard("u"); /* and no t before it */
    kill(command, SIGKILL);
    assert_int_equal(waitpid(command, NULL, 0), command);
    tree_tell(tree, 0);
    expect_heard("t");
    tree_kill(tree, 0);
    expect_all_dead();
}

/* Proves: who ignores SIGTERM is killed, the child as well as the command; and those who were
 * killed are counted for as long as they live. */
static void test_kills(void **state)
{
    struct tree *tree = *state;
    pid_t command = born(DEAF | PARENT);
    expect_heard("r");
    tree_tell(tree, command);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), 0);
    tree_kill(tree, command);
    assert_int_equal(tree->refused.count, 0);
    expect_all_dead();
    assert_true(tree_is_empty(tree));
    tree_kill(tree, 0);
    assert_int_equal(tree->left_count, 0);
}

/* Proves: a child from before is neither told nor killed nor waited for, nor is its child. */
static void test_strangers(void **state)
{
    struct tree *tree = *state;
    pid_t stranger = born(HEARS | PARENT);
    expect_heard("r");
    tree_close(tree);
    tree_init(tree);
    pid_t command = born(DEAF);
    expect_heard("r");
    tree_tell(tree, command);
    assert_false(tree_is_empty(tree));
    tree_kill(tree, command);
    assert_int_equal(waitpid(command, NULL, 0), command);
    assert_true(tree_is_empty(tree));
    kill(stranger, SIGUSR1);
    expect_heard("u"); /* and no t before it */
    tree_close(tree);
    *tree = (struct tree){.left_count = 0};
    tree_kill(tree, stranger);
    expect_all_dead();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_tells, setup, teardown),
        cmocka_unit_test_setup_teardown(test_tells_orphans, setup, teardown),
        cmocka_unit_test_setup_teardown(test_tells_once, setup, teardown),
        cmocka_unit_test_setup_teardown(test_lets_be, setup, teardown),
        cmocka_unit_test_setup_teardown(test_kills, setup, teardown),
        cmocka_unit_test_setup_teardown(test_strangers, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
