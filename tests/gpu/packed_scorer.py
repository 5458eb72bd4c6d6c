"""A scorer for Llama as an expert writes it in PyTorch: documents packed without padding, attention over their lengths,
fused projections, compiled blocks, the head in chunks of 1,024 rows. It is what thresher is measured against."""
import json
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import safe_open

HEAD_ROWS = 1024


def attention_choices():
    """Ways of causal attention over packed rows: name -> function(q, k, v, starts, longest, host_starts)."""
    choices = {}
    try:
        from torch.nn.attention.varlen import varlen_attn

        def varlen(q, k, v, starts, longest, _):
            return varlen_attn(q, k, v, starts, starts, longest, longest, window_size=(-1, 0),
                               enable_gqa=q.shape[1] != k.shape[1])
        choices['torch varlen_attn'] = varlen

        def varlen_older(q, k, v, starts, longest, _):
            return varlen_attn(q, k, v, starts, starts, longest, longest, is_causal=True)
        choices['torch varlen_attn (is_causal)'] = varlen_older
    except ImportError:
        pass
    try:
        from flash_attn import flash_attn_varlen_func

        def flash(q, k, v, starts, longest, _):
            return flash_attn_varlen_func(q, k, v, starts, starts, longest, longest, causal=True)
        choices['flash-attn'] = flash
    except ImportError:
        pass

    def aten(q, k, v, starts, longest, _):
        return torch.ops.aten._flash_attention_forward(q, k, v, starts, starts, longest, longest, 0.0, True, False)[0]
    choices['aten flash'] = aten

    def one_by_one(q, k, v, _, __, host):
        outs = [F.scaled_dot_product_attention(*(x[a:b].transpose(0, 1)[None] for x in (q, k, v)), is_causal=True,
                                               enable_gqa=True)[0].transpose(0, 1) for a, b in zip(host, host[1:])]
        return torch.cat(outs)
    choices['sdpa by document'] = one_by_one
    return choices


def rms(x, gain, epsilon):
    y = x.float()
    return (y * torch.rsqrt(y.pow(2).mean(-1, keepdim=True) + epsilon)).to(x.dtype) * gain


def rotate(x, cos, sin):
    a, b = x.float().chunk(2, -1)
    return torch.cat((a * cos - b * sin, b * cos + a * sin), -1).to(x.dtype)


class PackedScorer:
    def __init__(self, folder, device, dtype, compiled, budget=16384):
        self.config = json.loads((Path(folder) / 'config.json').read_text())
        self.device, self.dtype, self.budget = device, dtype, budget
        c = self.config
        self.heads, self.kv, self.size = c['num_attention_heads'], c['num_key_value_heads'], c['head_dim']
        self._load(Path(folder))
        half = torch.arange(0, self.size, 2, dtype=torch.float32) / self.size
        angles = torch.outer(torch.arange(min(c['max_position_embeddings'], 8192)).float(), c['rope_theta'] ** -half)
        self.cos, self.sin = angles.cos().to(device), angles.sin().to(device)
        wrap = torch.compile if compiled else (lambda function: function)
        self.before, self.after, self.last = wrap(self._before), wrap(self._after), wrap(self._last)
        self.chunk = wrap(self._chunk)
        self.attention = None
        self.attention_name = None

    def _load(self, folder):
        tensors = {}
        for file in sorted(folder.glob('*.safetensors')):
            with safe_open(file, 'pt', device=str(self.device)) as opened:
                for name in opened.keys():
                    tensors[name] = opened.get_tensor(name).to(self.dtype)
        self.embedding = tensors['model.embed_tokens.weight']
        self.head = tensors.get('lm_head.weight', self.embedding)
        self.final = tensors['model.norm.weight']
        self.layers = []
        for i in range(self.config['num_hidden_layers']):
            def one(name, layer=i):
                return tensors.pop(f'model.layers.{layer}.{name}.weight')
            self.layers.append({
                'norm1': one('input_layernorm'), 'norm2': one('post_attention_layernorm'),
                'qkv': torch.cat([one(f'self_attn.{n}_proj') for n in 'qkv']), 'out': one('self_attn.o_proj'),
                'gate_up': torch.cat([one('mlp.gate_proj'), one('mlp.up_proj')]), 'down': one('mlp.down_proj')})

    def _before(self, x, gain, qkv, cos, sin):
        y = F.linear(rms(x, gain, self.config['rms_norm_eps']), qkv)
        q, k, v = (part.view(x.shape[0], -1, self.size) for part in
                   y.split([self.heads * self.size, self.kv * self.size, self.kv * self.size], -1))
        return rotate(q, cos, sin), rotate(k, cos, sin), v.contiguous()

    def _after(self, x, attended, out, gain, gate_up, down):
        x = x + F.linear(attended.flatten(1), out)
        gate, up = F.linear(rms(x, gain, self.config['rms_norm_eps']), gate_up).chunk(2, -1)
        return x + F.linear(F.silu(gate) * up, down)

    def _last(self, x, rows, gain):
        return rms(x[rows], gain, self.config['rms_norm_eps'])

    @staticmethod
    def _chunk(hidden, head, targets):
        logits = F.linear(hidden, head).float()
        return logits.gather(1, targets[:, None])[:, 0] - torch.logsumexp(logits, -1)

    def pack(self, documents):
        """Batches of document numbers, no more than `budget` tokens each: first fit, the longest first."""
        batches, room = [], []
        for number in sorted(range(len(documents)), key=lambda i: -len(documents[i])):
            need = len(documents[number])
            place = next((b for b, free in enumerate(room) if free >= need), None)
            if place is None:
                batches.append([])
                room.append(self.budget)
                place = len(room) - 1
            batches[place].append(number)
            room[place] -= need
        return batches

    def _choose_attention(self, q, k, v, starts, longest, host):
        best = None
        for name, function in attention_choices().items():
            try:
                with torch.inference_mode():
                    out = function(q, k, v, starts, longest, host)
                    exact = attention_choices()['sdpa by document'](q, k, v, starts, longest, host)
                    if (out.float() - exact.float()).abs().max() > 0.05 * exact.float().abs().max():
                        continue
                    if self.device.type == 'cuda':
                        torch.cuda.synchronize()
                    begin = time.perf_counter()
                    for _ in range(3):
                        function(q, k, v, starts, longest, host)
                    if self.device.type == 'cuda':
                        torch.cuda.synchronize()
                    seconds = time.perf_counter() - begin
            except Exception:  # what this version of torch or this GPU cannot do is no choice
                continue
            if best is None or seconds < best[0]:
                best = (seconds, name, function)
        _, self.attention_name, self.attention = best

    def _there(self, tensor):
        """On the device, without waiting for what it does."""
        if self.device.type != 'cuda':
            return tensor.to(self.device)
        return tensor.pin_memory().to(self.device, non_blocking=True)

    def _batch(self, documents):
        lengths = torch.tensor([len(document) for document in documents])
        host = [0, *lengths.cumsum(0).tolist()]
        ids = torch.cat(documents)
        positions = torch.cat([torch.arange(len(document)) for document in documents])
        targets = self._there(ids[positions > 0])
        last = torch.zeros(len(ids), dtype=torch.bool)
        last[lengths.cumsum(0) - 1] = True
        rows = self._there((~last).nonzero()[:, 0])
        ids, positions = self._there(ids), self._there(positions)
        starts, longest = self._there(torch.tensor(host, dtype=torch.int32)), int(lengths.max())
        x = F.embedding(ids, self.embedding)
        cos, sin = self.cos[positions][:, None], self.sin[positions][:, None]
        for layer in self.layers:
            q, k, v = self.before(x, layer['norm1'], layer['qkv'], cos, sin)
            if self.attention is None:
                self._choose_attention(q, k, v, starts, longest, host)
            attended = self.attention(q, k, v, starts, longest, host)
            x = self.after(x, attended, layer['out'], layer['norm2'], layer['gate_up'], layer['down'])
        hidden = self.last(x, rows, self.final)
        return torch.cat([self.chunk(h, self.head, t) for h, t in zip(hidden.split(HEAD_ROWS), targets.split(HEAD_ROWS))])

    @torch.inference_mode()
    def score(self, documents):
        """The log-probabilities of all tokens but each document's first, a tensor for each document of ids."""
        batches = self.pack(documents)
        values = torch.cat([self._batch([documents[i] for i in batch]) for batch in batches]).cpu()
        result, at = [None] * len(documents), 0
        for batch in batches:
            for number in batch:
                length = len(documents[number]) - 1
                result[number] = values[at:at + length]
                at += length
        return result
