/* Seeded bugs, with which the tests prove that they can fail: `make mutants` builds the cores with
 * one of them at a time and the simulator has to catch it (tests/sim/mutants.py).
 *
 *     if (order < 0 || (order == 0 && !MUTANT(equal_ballot_promised))) { refuse }
 *
 * MUTANT(name) stands next to the rule that it breaks. It is the constant 0, so that the compiler
 * removes the branch and no build for users holds a trace of it; with -DSYNOD_MUTANT=name, and for
 * that name alone, it is 1. Never inside CHECK, which prints its condition. */
#ifndef SYNOD_BASE_MUTANT_H
#define SYNOD_BASE_MUTANT_H

#ifdef SYNOD_MUTANT

#include <string.h>

#define MUTANT_TEXT(name) #name
#define MUTANT_CHOSEN(name) MUTANT_TEXT(name)
#define MUTANT(name) (strcmp(MUTANT_TEXT(name), MUTANT_CHOSEN(SYNOD_MUTANT)) == 0)

/* Tells an object with a bug from one without, for tests/lint. */
__attribute__((used)) static const char synod_mutant[] =
    "synod_mutant " MUTANT_CHOSEN(SYNOD_MUTANT);

#else

#define MUTANT(name) 0

#endif

#endif
