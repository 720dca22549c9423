/* A task: a request becomes a prompt, and what the LLM wrote becomes an answer. `generated/task.h` says what there is to fill in. */
#include "transducer.h"

void exports_transducer_task_handler_describe(exports_transducer_task_handler_task_info_t *info) {
  static task_string_t languages[] = {TEXT("java")};
  static transducer_task_types_example_t examples[] = {{
      .title = TEXT("A Java method"),
      .request = TEXT("{\"code\": \"int twice(int x) { return 2 * x; }\"}"),
      .answer = TEXT("Doubles a number."),
  }};
  *info = (exports_transducer_task_handler_task_info_t){
      .name = TEXT("my-task"),
      .summary = TEXT("Says in one sentence what a Java method does"),
      .languages = {languages, 1},
      .request_schema = TEXT("{\"type\": \"object\","
                             " \"properties\": {\"code\": {\"type\": \"string\","
                             " \"description\": \"The source of a Java method\"}},"
                             " \"required\": [\"code\"]}"),
      .answer_schema = TEXT("{\"type\": \"object\","
                            " \"properties\": {\"comment\": {\"type\": \"string\", \"description\": \"One sentence\"}},"
                            " \"required\": [\"comment\"]}"),
      .examples = {examples, 1},
  };
}

/* True for a prompt, false for an error. */
bool exports_transducer_task_handler_prepare(task_string_t *request, exports_transducer_task_handler_prepared_t *prepared,
                                             exports_transducer_task_handler_error_t *error) {
  task_string_t code;
  if (!json_text_field(*request, "code", &code) || text_trim(code).len == 0) {
    error->tag = TRANSDUCER_TASK_TYPES_ERROR_INVALID_REQUEST;
    error->val.invalid_request = TEXT("`code` is empty or missing; give the source of a Java method");
    return false;
  }
  /* The graph stays in the host. What stands in the prompt as code is what the transducer rewrites. */
  transducer_task_cpg_own_graph_t graph;
  transducer_task_cpg_parse_error_t why;
  task_string_t java = TEXT("java");
  if (!transducer_task_cpg_parse(&java, &code, &graph, &why)) {
    parse_failed(&why, error);
    return false;
  }
  static transducer_task_types_segment_t segments[] = {
      {TRANSDUCER_TASK_TYPES_SEGMENT_TEXT, {.text = TEXT("```java\n")}},
      {TRANSDUCER_TASK_TYPES_SEGMENT_CODE, {{0}}},
      {TRANSDUCER_TASK_TYPES_SEGMENT_TEXT, {.text = TEXT("\n```\n\nSay in one short sentence what this does.")}},
  };
  static task_string_t stop[] = {TEXT("\n")};
  segments[1].val.code = graph;
  *prepared = (exports_transducer_task_handler_prepared_t){
      .segments = {segments, 3},
      /* Greedy, up to the end of the line. */
      .decoding = {.max_new_tokens = 48, .stop = {stop, 1}, .top_p = 1, .beams = 1},
      /* `state` is what `finish` has to know of the request: nothing here. */
  };
  return true;
}

bool exports_transducer_task_handler_finish(task_list_u8_t *state, task_string_t *generated,
                                            exports_transducer_task_handler_answer_t *answer,
                                            exports_transducer_task_handler_error_t *error) {
  (void)state, (void)error;
  task_string_t comment = text_trim(*generated);
  task_string_t data[] = {TEXT("{\"comment\": "), json_quote(comment), TEXT("}")};
  *answer = (exports_transducer_task_handler_answer_t){.text = comment, .data = text_join(data, 3)};
  return true;
}
