/* Runs a command in a machine of its own and passes its output on: run_command NAME COMMAND [ARG...] */
#include <pyro/pyro.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern char** environ;

static void show(void* context, int stream, const char* bytes, size_t size) {
  (void)context;
  fwrite(bytes, 1, size, stream == 1 ? stdout : stderr);
}

/* A word of UTF-8 as JSON. */
static void add_word(char* to, const char* word) {
  to += strlen(to);
  *to++ = '"';
  for (; *word != '\0'; ++word) {
    const unsigned char byte = (unsigned char)*word;
    if (byte < 0x20 || byte == '"' || byte == '\\')
      to += sprintf(to, "\\u%04x", byte);
    else
      *to++ = *word;
  }
  strcpy(to, "\"");
}

static int fail(char* error) {
  fprintf(stderr, "%s", error != NULL ? error : "no memory\n");
  pyro_free(error);
  return 1;
}

int main(int argc, char** argv) {
  if (argc < 3) {
    fprintf(stderr, "usage: run_command NAME COMMAND [ARG...]\n");
    return 2;
  }
  size_t size = 32;
  for (int i = 2; i < argc; ++i) size += 6 * strlen(argv[i]) + 4;
  char* const command = malloc(size);
  if (command == NULL) return fail(NULL);
  strcpy(command, "{\"command\": [");
  for (int i = 2; i < argc; ++i) {
    if (i > 2) strcat(command, ", ");
    add_word(command, argv[i]);
  }
  strcat(command, "]}");

  int status = 0;
  char* error = NULL;
  const pyro_streams streams = {0, show, NULL};
  pyro_machine* machine = NULL;
  char* report = NULL;
  pyro_store* const store = pyro_store_open(NULL, environ, &error);
  if (store != NULL) machine = pyro_machine_start(store, argv[1], NULL, NULL, &error);
  if (machine != NULL) report = pyro_machine_run(machine, command, &streams, NULL, &error);
  if (report != NULL)
    fprintf(stderr, "%s", report);
  else
    status = fail(error);
  pyro_free(report);
  pyro_machine_free(machine);
  pyro_store_close(store);
  free(command);
  return status;
}
