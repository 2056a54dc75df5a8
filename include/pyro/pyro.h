/* The C API of pyro, for C and for bindings: the store of environments, machines that run them, and
 * workspaces.
 * JSON in and JSON out.
 *
 * The documents of the store and of workspaces are those that the executable prints with --json;
 * docs/schemas describes them. Later versions may add fields. In C++ use pyro/environment_store.h
 * and pyro/machine.h, which need no JSON.
 *
 * A document is one line of UTF-8 with a newline and a terminating zero byte. The caller owns the
 * documents that functions return as `char*`, and releases them with pyro_free(). A function that
 * fails returns NULL and, if `error` is not NULL, stores a document there, which the caller owns,
 * too:
 *
 *   {"code": "network", "message": "...", "hint": "..." or null}
 *
 * The codes are: usage, not_found, network, integrity, filesystem, busy, interrupted, failed
 * (pyro/error.h describes them). No text holds secrets. Texts may hold bytes from a server: escape
 * control characters before showing them. Without memory for the error document, `*error` is not
 * set. On success `*error` is not changed.
 *
 * An argument that is NULL where that is not documented is a "usage" failure. The library prints
 * nothing and installs no signal handler.
 */
#ifndef PYRO_PYRO_H
#define PYRO_PYRO_H

#include <stddef.h>

#if defined(__GNUC__)
#define PYRO_API __attribute__((visibility("default")))
#else
#define PYRO_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* The version of the library: "0.1.0". Static; not to be released. */
PYRO_API const char* pyro_version(void);

/* Releases a document. NULL is allowed. Thread-safe. */
PYRO_API void pyro_free(char* document);

/* A store: the environments of a catalog in one cache directory. It never changes after it was
 * opened: any number of threads may use one store, and any number of stores and processes may use
 * one cache. */
typedef struct pyro_store pyro_store;

/* Opens a store. Reads and writes nothing in the cache.
 *
 * `variables`: "NAME=value" strings, terminated by NULL, as in environ(7): the variables that the
 * executable reads from its environment (docs/commands.md), for the cache, catalog files, the
 * runtime bundle, credentials, proxies, certificates. NULL for none.
 *
 * `options`: a JSON object, or NULL for none. They take precedence over the variables. Durations
 * are numbers of seconds from 0 to 1e9, fractions allowed; sizes are whole numbers of bytes below
 * 2^63. A field that is unknown, of the wrong type or out of bounds is a "usage" failure:
 *
 *   cache_dir                       required if no variable names the cache
 *   stores                          [directory], searched after the cache and only read; before
 *                                   those of the variables. The store of the host,
 *                                   /usr/share/pyro/environments, is added by the executable only
 *   catalogs                        [file], overriding those of the variables
 *   runtime_dir                     a runtime bundle
 *   extractor                       the pyro executable that unpacks downloads; by default the one
 *                                   that was installed with this library
 *   base                            the environment whose kernel container images boot
 *   kernel_dir                      a directory with a kernel for those without a base
 *   lock_timeout                    the longest wait for another process's pull of the same
 *                                   environment; no limit by default
 *   rootfs_bytes                    the largest rootfs.ext4 that is accepted
 *   offline                         true: no connection is opened
 *   retries, retry_delay            of requests after transient failures: 0 to 1000, and a duration
 *   keep_after                      how long an interrupted transfer took at least, to be kept
 *   credential_files, helper_directories, registries_files, certificate_directories,
 *   trusted_realms                  lists of strings
 *   https_proxy, http_proxy, all_proxy, no_proxy, ca_file, ca_directory
 *
 * (NetworkOptions in pyro/network_options.h describes these.)
 * Fails with: usage, failed (a bad catalog), filesystem. */
PYRO_API pyro_store* pyro_store_open(const char* options, char* const* variables, char** error);

/* Releases a store, which must not be used afterwards. NULL is allowed. */
PYRO_API void pyro_store_close(pyro_store* store);

/* The settings of the store:
 *
 *   {"cache_dir", "runtime_dir" (or null), "catalog_version", "catalog_files": [file],
 *    "environments": [entry]}
 *
 * An entry has the fields of a catalog file (docs/formats.md); those without a value are null. No
 * network. */
PYRO_API char* pyro_store_describe(const pyro_store* store, char** error);

/* `pyro env list --json`: every environment of the catalog, installed or not. No network. Fails
 * with: filesystem, failed. */
PYRO_API char* pyro_store_list(const pyro_store* store, char** error);

/* `pyro env inspect NAME --json`. No network. Fails with: not_found, filesystem, failed. */
PYRO_API char* pyro_store_inspect(const pyro_store* store, const char* name, char** error);

/* A long operation: its progress callback, and the means to stop it. */
typedef struct pyro_operation pyro_operation;

/* A progress callback. `event` is a document of `--progress json`, valid until the
 * function returns. It is called on the thread that called the store, and must return quickly,
 * because the transfer waits for it. It must not throw, and no longjmp() may leave it. */
typedef void (*pyro_progress)(void* context, const char* event);

/* Makes an operation. `progress` may be NULL; `context` is its first argument. An operation may be
 * used for one call of the store after the other, but not for several at a time. Returns NULL if
 * there is no memory. */
PYRO_API pyro_operation* pyro_operation_new(pyro_progress progress, void* context);

/* Requests a stop of the call that uses this operation, and of all later ones: they fail with
 * "interrupted" and leave the cache unchanged. Returns at once. May be called from any thread and
 * in `progress`, but not from a signal handler. NULL is allowed. */
PYRO_API void pyro_operation_stop(pyro_operation* operation);

/* Releases an operation, which must not be used afterwards. NULL is allowed. */
PYRO_API void pyro_operation_free(pyro_operation* operation);

/* In each of the following `operation` may be NULL. */

/* Installs an environment if needed. An existing install needs neither network nor lock nor write.
 *
 *   {"name", "version", "install_dir", "kernel_image" (or null), "rootfs_image", "initrd_image" (or
 * null), "source", "source_digest" (or null)}
 *
 * Fails with: any code. */
PYRO_API char* pyro_store_ensure_installed(const pyro_store* store, const char* name,
                                           pyro_operation* operation, char** error);

/* `pyro env pull NAME --json`. `options`: an object, or NULL for none:
 *
 *   mode       "ensure" (default): keep an existing install, unless another image is pinned;
 *              "repair": replace it if its artifacts were modified; "force": replace it
 *
 * Fails with: any code. */
PYRO_API char* pyro_store_pull(const pyro_store* store, const char* name, const char* options,
                               pyro_operation* operation, char** error);

/* One element of `pyro env verify --json`. Modified artifacts and a missing install are not
 * failures; "status" reports them. Fails with: not_found (the catalog does not have it),
 * filesystem, interrupted, failed. */
PYRO_API char* pyro_store_verify(const pyro_store* store, const char* name,
                                 pyro_operation* operation, char** error);

/* `pyro env prune --json`: removes remains of interrupted pulls, broken installs, and installs of
 * names and versions that the catalog does not have. Installs in use stay. `options`: a JSON
 * object, or NULL for none:
 *
 *   dry_run        true: remove nothing, only report
 *   unknown        true: also remove installs whose record names a catalog file that is not loaded
 *   all            true: also remove intact installs; with one of the next two only the selected
 *                  ones
 *   older_than     also remove intact installs that were last used longer ago than this duration. A
 *                  use is an install or a boot by pyro; boots by other programs are not recorded
 *   keep_storage   also remove intact installs, least recently used first, until the remaining ones
 *                  take at most this size
 *
 * The document lists the installs that could not be removed. Fails with: filesystem, usage, failed.
 */
PYRO_API char* pyro_store_prune(const pyro_store* store, const char* options, char** error);

/* A virtual machine that runs an environment. Any number of threads may run commands and copies in
 * one machine at the same time. Changes in the guest are lost. A machine ends with its process. */
typedef struct pyro_machine pyro_machine;

/* Starts a machine, from the best state there is; installs the environment if needed. `options`: a
 * JSON object, or NULL for none:
 *
 *   cpus           1 by default
 *   memory_mib     512 by default, for container images 2048
 *   disk_mib       a scratch disk of that size for the files of the guest; none by default
 *   network        "none" (default), "user" (by passt) or "user+host" (by QEMU, where 10.0.2.2 is
 *                  the loopback interface of the host)
 *   kvm            "never" or "required"; by default it is used where it works
 *   monitor        the path of qemu-system-x86_64; by default that of PYRO_QEMU or PATH
 *   base           the environment whose kernel a container image boots
 *   boot_timeout   60 seconds by default
 *   cold           true: boot even if there is a state to go on from
 *   saves_states   false: leave no states in the cache
 *   publish        ["[ADDRESS:]PORT:GUESTPORT"]: TCP ports of the host whose connections go to
 *                  ports of the guest; PORT 0 for any that is free, ADDRESS 127.0.0.1 by default
 *
 * PYRO_QEMU, PYRO_KVM, PYRO_PREPARE and PYRO_STATE_KEY are those of the variables of the store.
 * `operation` is not used after the call. Fails with: any code. */
PYRO_API pyro_machine* pyro_machine_start(const pyro_store* store, const char* name,
                                          const char* options, pyro_operation* operation,
                                          char** error);

/* {"name", "version", "started" ("cold", "kernel" or "warm"), "accelerator" ("kvm" or "tcg"),
 *  "cpus", "memory_mib", "ready_seconds", "ports": [{"address", "port", "guest_port"}]} */
PYRO_API char* pyro_machine_describe(pyro_machine* machine, char** error);

/* Takes output of a command: `stream` is 1 for standard output and 2 for standard error. `bytes` is
 * valid until the function returns. It is called on the thread that called pyro_machine_run(), and
 * the command waits for it. It must not throw, and no longjmp() may leave it. */
typedef void (*pyro_output)(void* context, int stream, const char* bytes, size_t size);

/* The streams of a command. */
typedef struct pyro_streams {
  int input;          /* a descriptor, read for standard input and not closed; -1: empty */
  pyro_output output; /* NULL: output is dropped */
  void* context;      /* the first argument of `output` */
} pyro_streams;

/* Runs a command to its end. `command`: a JSON object:
 *
 *   command              [word]: the program and its arguments; of a container image they may be
 *                        left out: then its own are run
 *   variables            ["NAME=value"]
 *   directory, user      as -w and -u of `pyro run`
 *   entrypoint           true: put the image's entrypoint in front of the command
 *   terminal             true: its streams are a terminal
 *   timeout              a duration, after which it gets SIGTERM
 *   stop_timeout         from that signal to SIGKILL; 10 by default
 *   output_limit         bytes of each output that are passed on
 *   ends_all_processes   true: kill all other processes of the machine when it ends
 *
 *   {"exit_code", "signal" (or null), "timed_out", "interrupted", "refusal" (or null), "seconds"}
 *
 * `streams` may be NULL. A command that fails is no failure, nor is one that cannot be started:
 * "refusal" says why. pyro_operation_stop() sends SIGINT to the command, and the report is returned
 * as usual; its progress callback is not called. Fails with: usage, failed (the machine ended),
 * filesystem. */
PYRO_API char* pyro_machine_run(pyro_machine* machine, const char* command,
                                const pyro_streams* streams, pyro_operation* operation,
                                char** error);

/* Copies a file or tree from the host to the guest, or back, with the rules of cp -r. What cannot
 * be copied is named in warnings of `operation`. `options`: a JSON object, or NULL for none:
 *
 *   timeout   a duration for the whole copy
 *
 * copy_in returns {"left_out": the number of files that could not be read}, copy_out an empty
 * object. Fails with: usage, failed, filesystem, interrupted. */
PYRO_API char* pyro_machine_copy_in(pyro_machine* machine, const char* from, const char* to,
                                    const char* options, pyro_operation* operation, char** error);
PYRO_API char* pyro_machine_copy_out(pyro_machine* machine, const char* from, const char* to,
                                     const char* options, pyro_operation* operation, char** error);

/* Kills the machine; what goes on in it fails with "failed". From any thread. NULL is allowed. */
PYRO_API void pyro_machine_stop(pyro_machine* machine);

/* Stops and releases a machine, which must not be used afterwards, nor be in use by another thread.
 * NULL is allowed. */
PYRO_API void pyro_machine_free(pyro_machine* machine);

/* The workspaces of a user: machines with a name and a disk that stay until they are deleted
 * (docs/workspaces.md). Any number of threads and processes may use the same ones. The machine of a
 * workspace belongs to a process of its own, the executable `extractor` of the store: it goes on
 * when this process ends. */
typedef struct pyro_workspaces pyro_workspaces;

/* Opens them. `directory`: NULL for that of the variables of the store, XDG_STATE_HOME or HOME.
 * Fails with: failed (no directory). */
PYRO_API pyro_workspaces* pyro_workspaces_open(const pyro_store* store, const char* directory,
                                               char** error);

/* Releases them; they go on. They must not be used afterwards. NULL is allowed. */
PYRO_API void pyro_workspaces_close(pyro_workspaces* workspaces);

/* Makes a request to the workspace `name`. `options`: a JSON object with the fields of the request,
 * or NULL for none. pyro/workspace.h describes each.
 *
 *   request            fields                                       document
 *   create             environment, from, all_files, cpus,          {"is_new", "files", "bytes",
 *                      memory_mib, disk_mib, network, idle,          "secrets": [path],
 *                      idle_with_processes, ttl, discard             "unreadable"}
 *   list (no name)                                                  `pyro workspace list --json`
 *   status                                                          `status --json`
 *   rename             to                                           {}
 *   remove             force                                        {}
 *   remove_expired (no name)                                        {"removed": [name]}
 *   spawn              those of pyro_machine_run()                  {"process": number}
 *   processes                                                       `ps --json`
 *   output             process, is_error, offset                    {"base64", "skipped", "next",
 *                                                                    "ended"}
 *   signal             process, signal ("TERM")                     {}
 *   copy_in            from, to                                     {"left_out": number}
 *   copy_out           from, to, include_git, force                 {"left_alone": [path],
 *                                                                    "left_out", "may_run"}
 *   diff               paths, against, all                          `diff --json`
 *   patch              patch                                        {"files": [path]}
 *   publish            publish ("[ADDRESS:]PORT:GUESTPORT")         {"address", "port"}
 *   snapshot           snapshot                                     `snapshot --json`
 *   snapshots                                                       `snapshots --json`
 *   remove_snapshots   snapshots                                    {}
 *   reset              to                                           {}
 *   fork               snapshot, to                                 {}
 *   commit             environment (a name), replace, catalog (the   {"name", "version"}
 *                      file that gets the entry)
 *   suspend, stop                                                   {}
 *
 * Fails with: any code. */
PYRO_API char* pyro_workspaces_call(pyro_workspaces* workspaces, const char* request,
                                    const char* name, const char* options,
                                    pyro_operation* operation, char** error);

/* Runs a command in a workspace to its end; all is as with pyro_machine_run(). The working
 * directory is /workspace, and relative ones are below it. */
PYRO_API char* pyro_workspaces_run(pyro_workspaces* workspaces, const char* name,
                                   const char* command, const pyro_streams* streams,
                                   pyro_operation* operation, char** error);

#ifdef __cplusplus
}
#endif

#endif
