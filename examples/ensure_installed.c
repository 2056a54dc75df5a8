/* Makes sure an environment is installed and prints where, as JSON: ensure_installed NAME [OPTIONS]
 *
 * Cache, catalogs and credentials are the pyro executable's; OPTIONS, a JSON object, change them.
 */
#include <pyro/pyro.h>
#include <stdio.h>

extern char** environ;

static void print_event(void* context, const char* event) {
  fputs(event, context);
}

static int fail(char* error) {
  fputs(error != NULL ? error : "out of memory\n", stderr);
  pyro_free(error);
  return 1;
}

static int ensure_installed(const pyro_store* store, const char* name) {
  char* error = NULL;
  pyro_operation* operation = pyro_operation_new(print_event, stderr);
  char* installed = pyro_store_ensure_installed(store, name, operation, &error);
  pyro_operation_free(operation);
  if (installed == NULL) return fail(error);
  fputs(installed, stdout);
  pyro_free(installed);
  return 0;
}

int main(int argc, char** argv) {
  char* error = NULL;
  pyro_store* store;
  int status;
  if (argc < 2) {
    fputs("usage: ensure_installed NAME [OPTIONS]\n", stderr);
    return 2;
  }
  store = pyro_store_open(argc > 2 ? argv[2] : NULL, environ, &error);
  if (store == NULL) return fail(error);
  status = ensure_installed(store, argv[1]);
  pyro_store_close(store);
  return status;
}
