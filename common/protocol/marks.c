#include "common/protocol/marks.h"

#include "common/base/check.h"

const char *mark_name(enum mark mark)
{
    static const char *const names[] = {
#define MARK_NAME(name, text) [MARK_##name] = (text),
        MARKS(MARK_NAME)
#undef MARK_NAME
    };
    CHECK(mark < MARK_COUNT);
    return names[mark];
}
