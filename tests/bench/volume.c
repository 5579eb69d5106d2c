/* A volume with latency: a directory through FUSE, each read, write and fsync some milliseconds late.
 *
 *   cc -O2 tests/bench/volume.c -o /tmp/volume $(pkg-config --cflags --libs fuse3)
 *   MS=10 CACHE=1 /tmp/volume /tmp/backing /tmp/mounted
 *
 * The kernel sends at most 1 MiB a request, as an NFS client with wsize=1048576 does. With CACHE=1
 * writes go to the page cache first and leave it later, several at once, as with NFS; without, each
 * write waits, as on a volume that is mounted sync.
 */
#define FUSE_USE_VERSION 312
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fuse.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

static char root[PATH_MAX];
static long milliseconds;
static int cached;

static void late(void) {
  struct timespec pause = {milliseconds / 1000, milliseconds % 1000 * 1000000};
  nanosleep(&pause, NULL);
}

static const char *at(const char *path) { return path[1] ? path + 1 : "."; }
static int answer(int result) { return result < 0 ? -errno : 0; }

static void *begin(struct fuse_conn_info *connection, struct fuse_config *configuration) {
  if (chdir(root) != 0) exit(1);
  connection->max_write = 1 << 20;
  connection->max_background = 64;
  connection->congestion_threshold = 48;
  if (cached) connection->want |= FUSE_CAP_WRITEBACK_CACHE;
  configuration->nullpath_ok = 0;
  return NULL;
}

static int get(const char *path, struct stat *status, struct fuse_file_info *file) {
  return answer(file ? fstat(file->fh, status) : lstat(at(path), status));
}

static int list(const char *path, void *buffer, fuse_fill_dir_t fill, off_t offset,
                struct fuse_file_info *file, enum fuse_readdir_flags flags) {
  (void)offset, (void)file, (void)flags;
  DIR *directory = opendir(at(path));
  if (!directory) return -errno;
  for (struct dirent *each; (each = readdir(directory));) fill(buffer, each->d_name, NULL, 0, 0);
  closedir(directory);
  return 0;
}

static int open_file(const char *path, struct fuse_file_info *file) {
  int flags = file->flags & ~O_APPEND & ~O_NOFOLLOW;
  /* The kernel reads what it is about to change, and it places what is appended. */
  if (cached && (flags & O_ACCMODE) == O_WRONLY) flags = (flags & ~O_ACCMODE) | O_RDWR;
  int handle = open(at(path), flags);
  file->fh = handle;
  return answer(handle);
}

static int create(const char *path, mode_t mode, struct fuse_file_info *file) {
  int handle = open(at(path), O_RDWR | O_CREAT | (file->flags & (O_EXCL | O_TRUNC)), mode);
  file->fh = handle;
  return answer(handle);
}

static int read_some(const char *path, char *buffer, size_t size, off_t offset,
                     struct fuse_file_info *file) {
  (void)path;
  late();
  ssize_t count = pread(file->fh, buffer, size, offset);
  return count < 0 ? -errno : (int)count;
}

static int write_some(const char *path, const char *buffer, size_t size, off_t offset,
                      struct fuse_file_info *file) {
  (void)path;
  late();
  ssize_t count = pwrite(file->fh, buffer, size, offset);
  return count < 0 ? -errno : (int)count;
}

static int sync_file(const char *path, int data, struct fuse_file_info *file) {
  (void)path, (void)data, (void)file;
  late();
  return 0;
}

static int cut(const char *path, off_t size, struct fuse_file_info *file) {
  return answer(file ? ftruncate(file->fh, size) : truncate(at(path), size));
}

static int release(const char *path, struct fuse_file_info *file) {
  (void)path;
  return answer(close(file->fh));
}

static int make(const char *path, mode_t mode) { return answer(mkdir(at(path), mode)); }
static int forget(const char *path) { return answer(unlink(at(path))); }
static int remove_directory(const char *path) { return answer(rmdir(at(path))); }
static int move(const char *from, const char *to, unsigned flags) {
  return flags ? -EINVAL : answer(rename(at(from), at(to)));
}
static int allow(const char *path, mode_t mode, struct fuse_file_info *file) {
  (void)file;
  return answer(chmod(at(path), mode));
}
static int touch(const char *path, const struct timespec times[2], struct fuse_file_info *file) {
  (void)file;
  return answer(utimensat(AT_FDCWD, at(path), times, AT_SYMLINK_NOFOLLOW));
}
static int space(const char *path, struct statvfs *status) {
  return answer(statvfs(at(path), status));
}

static const struct fuse_operations operations = {
    .init = begin, .getattr = get, .readdir = list, .open = open_file, .create = create,
    .read = read_some, .write = write_some, .fsync = sync_file, .truncate = cut,
    .release = release, .mkdir = make, .unlink = forget, .rmdir = remove_directory,
    .rename = move, .chmod = allow, .utimens = touch, .statfs = space,
};

int main(int count, char **words) {
  if (count != 3 || !realpath(words[1], root)) {
    fputs("usage: MS=10 CACHE=1 volume <directory> <mount point>\n", stderr);
    return 2;
  }
  milliseconds = atol(getenv("MS") ? getenv("MS") : "10");
  cached = getenv("CACHE") != NULL;
  /* A thread for each request that is under way. */
  char *arguments[] = {words[0], "-f", "-o", "max_threads=64,max_idle_threads=64", words[2]};
  return fuse_main(5, arguments, &operations, NULL);
}
