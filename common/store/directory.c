#include "common/store/directory.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

/* File systems by the magic number of statfs(2). Allowed are those whose fsync is known to hold,
 * and two that tests and containers run on; the others have a name only to refuse them by. */
static const struct {
    uint32_t magic;
    int allowed;
    const char *name;
} file_systems[] = {
    {0xef53, 1, "ext4"},          {0x58465342, 1, "xfs"},   {0x01021994, 1, "tmpfs"},
    {0x794c7630, 1, "overlayfs"}, {0x6969, 0, "nfs"},       {0xff534d42, 0, "cifs"},
    {0xfe534d42, 0, "smb2"},      {0x517b, 0, "smb"},       {0x65735546, 0, "fuse"},
    {0x9123683e, 0, "btrfs"},     {0x2fc12fc1, 0, "zfs"},   {0x00c36400, 0, "ceph"},
    {0x01021997, 0, "9p"},        {0x858458f6, 0, "ramfs"}, {0x9fa0, 0, "proc"},
    {0x62656572, 0, "sysfs"},     {0x4d44, 0, "vfat"},      {0x2011bab0, 0, "exfat"},
};

static int check_file_system(int fd, const char *dir, struct errmsg *err)
{
    struct statfs fs;
    if (fstatfs(fd, &fs) != 0) {
        return errmsg_set(err, ERROR_IO, "cannot ask for the file system of %s (%s)", dir,
                          strerror(errno));
    }
    uint32_t magic = (uint32_t)fs.f_type;
    const char *name = "an unknown file system";
    for (size_t i = 0; i < sizeof file_systems / sizeof file_systems[0]; i++) {
        if (file_systems[i].magic == magic) {
            if (file_systems[i].allowed) {
                return 0;
            }
            name = file_systems[i].name;
        }
    }
    return errmsg_set(err, ERROR_USAGE,
                      "%s is on %s, type 0x%" PRIx32
                      " (a store needs a file system whose sync is known to hold); try: a "
                      "directory on a local ext4 or xfs",
                      dir, name, magic);
}

int directory_make(const char *dir, struct errmsg *err)
{
    if (mkdir(dir, 0700) != 0 && errno != EEXIST) {
        int code = errno == ENOENT || errno == ENOTDIR ? ERROR_USAGE : ERROR_IO;
        return errmsg_set(err, code,
                          "cannot make the directory %s (%s); try: a place that exists "
                          "and that this user may write to",
                          dir, strerror(errno));
    }
    int fd;
    int rc = directory_open(dir, &fd, err);
    if (rc != 0) {
        return rc;
    }
    int parent = openat(fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (parent < 0 || fsync(parent) != 0) {
        rc = errmsg_set(err, ERROR_IO, "cannot sync the directory above %s (%s)", dir,
                        strerror(errno));
    }
    if (parent >= 0) {
        close(parent);
    }
    close(fd);
    return rc;
}

/* What to do follows from errno. A directory that is missing is for the caller, who knows what was
 * lost with it. */
static int cannot_open(const char *dir, int why, struct errmsg *err)
{
    struct stat status;
    switch (why) {
    case ENOENT:
        return errmsg_set(err, ERROR_NOT_FOUND, "there is no directory %s", dir);
    case ENOTDIR:
        return errmsg_set(err, ERROR_USAGE, "%s is no directory; try: the right --data", dir);
    case EACCES:
    case EPERM:
        if (stat(dir, &status) == 0) {
            return errmsg_set(err, ERROR_REFUSED,
                              "the store in %s cannot be entered (%s; it belongs to user %u, this "
                              "is user %u); try: run as that user",
                              dir, strerror(why), status.st_uid, geteuid());
        }
        return errmsg_set(
            err, ERROR_REFUSED,
            "the store in %s cannot be reached (%s: a directory above it is closed to "
            "user %u); try: run as its user",
            dir, strerror(why), geteuid());
    default:
        return errmsg_set(err, ERROR_IO,
                          "the store in %s cannot be opened (%s); try: see to the "
                          "disk, then start again",
                          dir, strerror(why));
    }
}

int directory_open(const char *dir, int *fd, struct errmsg *err)
{
    int opened = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (opened < 0) {
        return cannot_open(dir, errno, err);
    }
    int rc = check_file_system(opened, dir, err);
    if (rc != 0) {
        close(opened);
        return rc;
    }
    *fd = opened;
    return 0;
}

/* The process that holds the flock on fd, from /proc/locks; 0 if it cannot be told, as from inside
 * another pid namespace. */
static int lock_holder(int fd)
{
    struct stat st;
    FILE *locks = fopen("/proc/locks", "re");
    if (locks == NULL) {
        return 0;
    }
    int holder = 0;
    if (fstat(fd, &st) == 0) {
        char line[256];
        while (holder == 0 && fgets(line, sizeof line, locks) != NULL) {
            int pid;
            unsigned device_major, device_minor;
            uint64_t inode;
            if (sscanf(line, "%*s FLOCK %*s %*s %d %x:%x:%" SCNu64, &pid, &device_major,
                       &device_minor, &inode) == 4 &&
                inode == st.st_ino && device_major == major(st.st_dev) &&
                device_minor == minor(st.st_dev)) {
                holder = pid;
            }
        }
    }
    fclose(locks);
    return holder > 0 ? holder : 0;
}

int directory_lock(int fd, const char *dir, struct errmsg *err)
{
    /* LevelDB's own lock does not name its holder, and a second open in the same process drops it
     * (closing any descriptor of a file gives up fcntl locks), so this one comes first. */
    if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
        return 0;
    }
    if (errno != EWOULDBLOCK) {
        return errmsg_set(err, ERROR_IO, "cannot lock %s (%s)", dir, strerror(errno));
    }
    int pid = lock_holder(fd);
    if (pid == 0) {
        return errmsg_set(err, ERROR_REFUSED,
                          "the store in %s is in use (another process holds it); try: stop that "
                          "process first",
                          dir);
    }
    return errmsg_set(err, ERROR_REFUSED,
                      "the store in %s is in use (process %d holds it); try: stop process %d first",
                      dir, pid, pid);
}

/* The number of a name like 000123.log, or 0. */
static uint64_t numbered(const char *name, const char *ending)
{
    char *end;
    if (name[0] < '0' || name[0] > '9') {
        return 0;
    }
    uint64_t number = strtoull(name, &end, 10);
    return strcmp(end, ending) == 0 ? number : 0;
}

static DIR *list(int fd)
{
    int own = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (own < 0) {
        return NULL;
    }
    DIR *names = fdopendir(own);
    if (names == NULL) {
        close(own);
    }
    return names;
}

enum directory_content directory_content(int fd)
{
    enum directory_content found = DIRECTORY_EMPTY;
    DIR *names = list(fd);
    if (names == NULL) {
        return DIRECTORY_REMAINS; /* what cannot be looked at is not free for a new store */
    }
    struct dirent *entry;
    while ((entry = readdir(names)) != NULL) {
        const char *name = entry->d_name;
        if (strcmp(name, "CURRENT") == 0) {
            found = DIRECTORY_STORE;
            break;
        }
        if (strncmp(name, "MANIFEST-", 9) == 0 || strcmp(name, "guard") == 0 ||
            numbered(name, ".log") > 0 || numbered(name, ".ldb") > 0) {
            found = DIRECTORY_REMAINS;
        }
    }
    closedir(names);
    return found;
}

int directory_sync(int fd, struct errmsg *err)
{
    if (fsync(fd) != 0) {
        return errmsg_set(err, ERROR_IO, "cannot sync the directory (%s)", strerror(errno));
    }
    return 0;
}

int directory_newest_log(int fd, int *log_fd, struct errmsg *err)
{
    char newest[256] = "";
    uint64_t highest = 0;
    DIR *names = list(fd);
    if (names == NULL) {
        return errmsg_set(err, ERROR_IO, "cannot list the directory (%s)", strerror(errno));
    }
    struct dirent *entry;
    while ((entry = readdir(names)) != NULL) {
        uint64_t number = numbered(entry->d_name, ".log");
        if (number > highest) {
            highest = number;
            snprintf(newest, sizeof newest, "%s", entry->d_name);
        }
    }
    closedir(names);
    int opened = highest > 0 ? openat(fd, newest, O_RDONLY | O_CLOEXEC) : -1;
    if (opened < 0) {
        return errmsg_set(err, ERROR_IO, "cannot open the write-ahead log '%s' (%s)", newest,
                          highest > 0 ? strerror(errno) : "there is none");
    }
    *log_fd = opened;
    return 0;
}

uint64_t directory_free_bytes(int fd)
{
    struct statvfs fs;
    if (fstatvfs(fd, &fs) != 0) {
        return 0; /* nobody should count on room that cannot be seen */
    }
    return (uint64_t)fs.f_bavail * (uint64_t)fs.f_frsize;
}
