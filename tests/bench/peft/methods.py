"""The baselines: each one a frozen or tuned llama with PEFT's own modules in it.

All but `linear` are PEFT's (or, `full`, plain transformers); PEFT has no linear adapter on the input embeddings, so that one is
ours. What is trained is f32 and the frozen backbone `dtype`. `full` computes with weights in `dtype` too, and train.py keeps
their f32 masters.
"""

import torch
import torch.nn.functional as F
from peft import LoraConfig, PrefixTuningConfig, PromptTuningConfig, get_peft_model, initialize_kv_prefix_from_text
from torch import nn
from transformers import AutoModelForCausalLM, AutoTokenizer

# Starting points for a search that is still to be made.
LEARNING_RATES = {"none": 0.0, "prompt": 3e-2, "prefix": 1e-2, "linear": 1e-3, "lora": 1e-3, "full": 5e-5}

PROMPT_TOKENS = 100
PREFIX_TOKENS = 20

# In training on a CPU, attention by plain matrix products (transformers' "eager") made a whole LoRA step 11 to 41% faster than
# torch's fused kernel (rows of 103 to 398, Zen 5, a busy machine). In longer rows its score matrices cost more than they save.
EAGER_WIDTH = 512


class LinearAdapter(nn.Module):
    """`x + W x + b` over every input embedding `x`, those of the answer's tokens among them; W and b begin at zero."""

    def __init__(self, embedding):
        super().__init__()
        self.embedding = embedding
        self.linear = nn.Linear(embedding.embedding_dim, embedding.embedding_dim, dtype=torch.float32)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, ids):
        x = self.embedding(ids)
        return x + self.linear(x.float()).to(x.dtype)


class Adapted:
    """A model with one method in it.

    `model` is what to call in training: PEFT's wrapper or the llama itself; `llama` the `LlamaForCausalLM` inside. Its head is
    taken out, so that a call gives hidden states, and the head is then computed where it is needed.
    """

    def __init__(self, method, folder, dtype, init_text):
        llama = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, attn_implementation="sdpa")
        # The padding token is this model's end token, and has a gradient like any other.
        llama.model.embed_tokens.padding_idx = None
        llama.requires_grad_(method == "full")
        self.method, self.llama, self.model = method, llama, llama
        self.head_weight = llama.model.embed_tokens.weight
        match method:
            case "none" | "full":
                pass
            case "linear":
                llama.model.embed_tokens = LinearAdapter(llama.model.embed_tokens)
            case "prompt":
                self.model = get_peft_model(llama, PromptTuningConfig(
                    task_type="CAUSAL_LM", num_virtual_tokens=PROMPT_TOKENS, prompt_tuning_init="TEXT",
                    prompt_tuning_init_text=init_text, tokenizer_name_or_path=str(folder),
                ))
            case "prefix":
                self.model = get_peft_model(
                    llama, PrefixTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=PREFIX_TOKENS)
                )
                # PEFT's default, random keys and values, starts at nearly twice the frozen model's loss.
                initialize_kv_prefix_from_text(
                    self.model, AutoTokenizer.from_pretrained(folder), text=init_text, use_chat_template=False
                )
            case "lora":
                self.model = get_peft_model(llama, LoraConfig(
                    task_type="CAUSAL_LM", r=8, lora_alpha=16, target_modules=["q_proj", "v_proj"],
                ))
        # PEFT looks the embeddings up by the head, so the head goes last.
        llama.lm_head = nn.Identity()
        self.parameters = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        # Positions that the method puts before the prompt, and those of them that are computed like tokens.
        self.virtual = {"prompt": PROMPT_TOKENS, "prefix": PREFIX_TOKENS}.get(method, 0)
        self.computed = PROMPT_TOKENS if method == "prompt" else 0

    def head(self, hidden):
        return F.linear(hidden, self.head_weight)

    def loss_sum(self, ids, rows, positions, targets):
        """The cross entropy of all answer tokens of `data.collate`, added up."""
        width = ids.shape[1] + self.virtual
        self.llama.config._attn_implementation = "eager" if width <= EAGER_WIDTH else "sdpa"
        hidden = self.model(input_ids=ids, use_cache=False).logits
        logits = self.head(hidden[rows, positions + self.computed])
        return F.cross_entropy(logits.float(), targets, reduction="sum")

    def prefill(self, prompts):
        """Last hidden states `[rows, hidden]` of `prompts`, the cache, and its mask `[rows, cached]`.

        Padding is on the left, and virtual tokens keep the distance to the prompt that they have in training. (PEFT's `generate`
        ignores position ids and puts the padding between the two, so that an answer would depend on its batch.)
        """
        self.llama.config._attn_implementation = "sdpa"
        width = max(map(len, prompts))
        ids = torch.tensor([[0] * (width - len(prompt)) + prompt for prompt in prompts])
        mask = torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts])
        cache = None
        if self.method == "prompt":
            ids = F.pad(ids, (self.virtual, 0))
            embeddings = self.llama.model.embed_tokens(ids)
            virtual = self.model.get_prompt(1)[0].to(embeddings.dtype)
            mask = F.pad(mask, (self.virtual, 0))
            for row, prompt in enumerate(prompts):
                start = width - len(prompt)
                embeddings[row, start:start + self.virtual] = virtual
                mask[row, start:start + self.virtual] = 1
            inputs = {"inputs_embeds": embeddings}
        else:
            inputs = {"input_ids": ids}
        if self.method == "prefix":
            cache = self.model.get_prompt(len(prompts))
            mask = F.pad(mask, (self.virtual, 0), value=1)
        positions = (mask.cumsum(1) - 1).clamp(min=0)
        positions = positions[:, -next(iter(inputs.values())).shape[1]:]
        out = self.llama(
            **inputs, attention_mask=mask, position_ids=positions, past_key_values=cache, use_cache=True, logits_to_keep=1
        )
        return out.logits[:, -1], out.past_key_values, mask

    def decode(self, tokens, cache, mask):
        """Hidden states `[rows, hidden]` of one more token a row; `mask` `[rows, cached + 1]` counts it already."""
        out = self.llama(
            input_ids=tokens[:, None], attention_mask=mask, position_ids=mask.sum(1, keepdim=True) - 1, past_key_values=cache,
            use_cache=True,
        )
        return out.logits[:, -1]
