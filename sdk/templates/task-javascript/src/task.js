// A task: a request becomes a prompt, and what the LLM wrote becomes an answer. Types and names are those of the WIT, in
// lowerCamelCase. There is no console: use `log.write("info", "…")` of "transducer:task/log@1.1.0".
import cpg from "transducer:task/cpg@1.1.0";

const requestSchema = {
  type: "object",
  properties: { code: { type: "string", description: "The source of a Java method" } },
  required: ["code"],
};

const answerSchema = {
  type: "object",
  properties: { comment: { type: "string", description: "One sentence" } },
  required: ["comment"],
};

export const handler = {
  describe() {
    return {
      name: "my-task",
      summary: "Says in one sentence what a Java method does",
      languages: ["java"],
      requestSchema: JSON.stringify(requestSchema),
      answerSchema: JSON.stringify(answerSchema),
      examples: [
        {
          title: "A Java method",
          request: JSON.stringify({ code: "int twice(int x) { return 2 * x; }" }),
          answer: "Doubles a number.",
        },
      ],
    };
  },

  prepare(request) {
    const { code } = parsed(request);
    if (typeof code !== "string" || code.trim() === "") {
      throw invalid("`code` is empty or missing; give the source of a Java method");
    }
    return {
      system: null,
      segments: [
        { tag: "text", val: "```java\n" },
        // The graph stays in the host. What stands in the prompt as code is what the transducer rewrites.
        { tag: "code", val: graphOf("java", code) },
        { tag: "text", val: "\n```\n\nSay in one short sentence what this does." },
      ],
      replyStart: null,
      // Greedy, up to the end of the line.
      decoding: { maxNewTokens: 48, stop: ["\n"], temperature: 0, topK: 0, topP: 1, beams: 1 },
      // What `finish` has to know of the request: nothing here.
      state: new Uint8Array(),
    };
  },

  finish(_state, generated) {
    const comment = generated.trim();
    return { text: comment, data: JSON.stringify({ comment }), diagnostics: [] };
  },
};

// The error that tells the user what to change. Any other exception ends the call as a fault of the task.
function invalid(message) {
  return { tag: "invalid-request", val: message };
}

function parsed(request) {
  try {
    return JSON.parse(request) ?? {};
  } catch (error) {
    throw invalid(`the request is no JSON: ${error.message}`);
  }
}

function graphOf(language, code) {
  try {
    return cpg.parse(language, code);
  } catch (error) {
    throw invalid(`there is no graph of the code: ${error.tag}`);
  }
}
