/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The `resattn` tool: chooses the command.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "errors.h"
#include "options.h"
#include "tool.h"

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *purpose;
} commands[] = {
    {"info", command_info, "the library and this machine, or a network"},
    {"train", command_train, "train a network to classify images"},
    {"eval", command_eval, "test accuracy of a saved network"},
    {"bench", command_bench, "time inference or training steps"},
    {"models", command_models, "the paper's table of networks, or all networks by name"},
    {"convert", command_convert, "weights of other programs to a network's file, and back"},
    {"classify", command_classify, "say what pictures show"},
    {"attend", command_attend, "draw attention masks over pictures"},
};

enum { COMMANDS = sizeof commands / sizeof commands[0] };

static void print_help(void)
{
    puts("Usage: resattn COMMAND [OPTION]...\n\nCommands:");
    for (int i = 0; i < COMMANDS; i++)
        printf("  %-8s  %s\n", commands[i].name, commands[i].purpose);
    puts("\n'resattn COMMAND --help' tells more. Networks are named by a file or one of:");
    for (int32_t i = 0; i < resattn_model_count(); i++)
        printf("  %s\n", resattn_model_name(i));
    puts("  quickstart");
}

int main(int argc, char **argv)
{
    set_program_name(argv[0]);
    if (argc < 2) {
        complain("which command?");
        return usage_hint(NULL);
    }
    if (strcmp(argv[1], "--help") == 0) {
        print_help();
        return EXIT_SUCCESS;
    }
    if (strcmp(argv[1], "--version") == 0) {
        printf("resattn %s\n", resattn_info("version"));
        return EXIT_SUCCESS;
    }
    for (int i = 0; i < COMMANDS; i++) {
        if (strcmp(argv[1], commands[i].name) == 0) {
            char title[64]; /* what getopt's messages begin with */
            snprintf(title, sizeof title, "%s %s", program_name(), argv[1]);
            argv[1] = title;
            return commands[i].run(argc - 1, argv + 1);
        }
    }
    complain("unknown command '%s'", argv[1]);
    return usage_hint(NULL);
}
