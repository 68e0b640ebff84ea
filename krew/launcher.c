/* Starts the Python that lies beside this program, wherever that was moved to or is linked from.
 *
 * The build defines PYTHON and MAIN, paths below the folder of this program, and LOADER where the
 * bundle has a glibc of its own: then that is used without a variable in the environment, which the
 * programs that we start would inherit.
 *
 * As kubectl_complete-satoken, a link of that name, it completes command lines for kubectl.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#ifdef __APPLE__
#include <mach-o/dyld.h>
#endif

static char here[PATH_MAX];

/* Whether the folder of this program, without links, is now in here. */
static int found_folder(void) {
#ifdef __APPLE__
    char path[PATH_MAX];
    uint32_t size = sizeof path;
    if (_NSGetExecutablePath(path, &size) != 0 || realpath(path, here) == NULL)
        return 0;
#else
    ssize_t length = readlink("/proc/self/exe", here, sizeof here - 1);
    if (length < 0)
        return 0;
    here[length] = '\0';
#endif
    *strrchr(here, '/') = '\0';
    return 1;
}

/* A path below that folder. */
static char *below(const char *name) {
    size_t size = strlen(here) + strlen(name) + 2;
    char *path = malloc(size);
    if (path != NULL)
        snprintf(path, size, "%s/%s", here, name);
    return path;
}

int main(int count, char **words) {
    char **command = calloc(count + 16, sizeof *command);
    int next = 0;
    if (command == NULL || !found_folder()) {
        fprintf(stderr, "error: kubectl-satoken cannot find itself: %s\n", strerror(errno));
        return 3;
    }
#ifdef LOADER
    command[next++] = below(LOADER);
    command[next++] = "--library-path";
    command[next++] = below("lib");
    command[next++] = "--argv0";
    command[next++] = below(PYTHON);
#endif
    command[next++] = below(PYTHON);
    command[next++] = "-I"; /* nothing of the user's environment or home */
    command[next++] = "-S"; /* no site-packages */
    command[next++] = "-X";
    command[next++] = "lazy_imports=all";
    command[next++] = below(MAIN);
    const char *name = count > 0 ? words[0] : "";
    if (strrchr(name, '/') != NULL)
        name = strrchr(name, '/') + 1;
    if (strncmp(name, "kubectl_complete-", 17) == 0)
        command[next++] = "__complete";
    for (int word = 1; word < count; word++)
        command[next++] = words[word];
    execv(command[0], command);
    fprintf(stderr, "error: kubectl-satoken cannot start %s: %s\n", command[0], strerror(errno));
    return 3;
}
