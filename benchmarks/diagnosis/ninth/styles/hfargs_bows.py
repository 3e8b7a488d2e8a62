import copy
import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn


@dataclass
class TrainingArguments:
    per_device_train_batch_size: int = 32
    gradient_accumulation_steps: int = 2
    generator_lr: float = 2e-3
    discriminator_lr: float = 2e-3
    adam_beta1: float = 0.5
    adam_beta2: float = 0.99
    warmup_steps: int = 10
    max_steps: int = 100
    r1_gamma: float = 0.2
    max_grad_norm: float = 10.0
    ema_decay: float = 0.9
    save_steps: int = 80
    resume_once: bool = True
    seed: int = 42


@dataclass
class TrainerState:
    global_step: int = 0
    epoch: float = 0.0


class TrainerCallback:
    def on_train_begin(self, args, state, trainer):
        pass

    def on_step_end(self, args, state, trainer):
        pass

    def on_save(self, args, state, trainer):
        pass


class EMACallback(TrainerCallback):
    def on_train_begin(self, args, state, trainer):
        trainer.ema_generator = copy.deepcopy(trainer.generator).requires_grad_(False)

    def on_step_end(self, args, state, trainer):
        with torch.no_grad():
            for averaged, p in zip(trainer.ema_generator.parameters(), trainer.generator.parameters()):
                averaged.lerp_(p, 1 - args.ema_decay)


class CheckpointCallback(TrainerCallback):
    """Saves, and once goes on from what was saved, as after a job that was cut off."""

    def on_step_end(self, args, state, trainer):
        if state.global_step == args.save_steps:
            self.saved = copy.deepcopy({k: v.state_dict() for k, v in trainer.parts().items()})
        if args.resume_once and state.global_step == args.save_steps + 10:
            for k, v in trainer.parts().items():
                v.load_state_dict(self.saved[k])


class MonitorCallback(TrainerCallback):
    def on_train_begin(self, args, state, trainer):
        self.monitor = watch(
            trainer.generator,
            trainer.discriminator,
            loss="non_saturating",
            penalty=("r1", 0.2),
            optimizers=(trainer.optimizer_g, trainer.optimizer_d),
            sample=lambda: trainer.ema_generator(torch.randn(500, 6)),
            ema=trainer.ema_generator,
            held_out=data.bows(500, "held"),
        )

    def on_step_end(self, args, state, trainer):
        self.monitor.step(trainer.last_real, trainer.last_z)


class MLP(nn.Module):
    def __init__(self, d_in, d_out, d_model=64):
        super().__init__()
        self.up, self.mid, self.down = nn.Linear(d_in, d_model), nn.Linear(d_model, d_model), nn.Linear(d_model, d_out)

    def forward(self, hidden_states):
        hidden_states = F.gelu(self.up(hidden_states))
        hidden_states = F.gelu(self.mid(hidden_states))
        return self.down(hidden_states)


def get_warmup_schedule(optimizer, warmup, total):
    def lr_lambda(step):
        if step < warmup:
            return (step + 1) / warmup
        return 0.2 + 0.8 * 0.5 * (1 + math.cos(math.pi * (step - warmup) / (total - warmup)))

    return torch.optim.lr_scheduler.LambdaLR(optimizer, lr_lambda)


class GANTrainer:
    def __init__(self, generator, discriminator, args, train_dataset, callbacks):
        self.generator, self.discriminator, self.args = generator, discriminator, args
        self.train_dataset, self.callbacks, self.state = train_dataset, callbacks, TrainerState()
        self.create_optimizer_and_scheduler()

    def create_optimizer_and_scheduler(self):
        betas = (self.args.adam_beta1, self.args.adam_beta2)
        self.optimizer_g = torch.optim.AdamW(self.generator.parameters(), self.args.generator_lr, betas, weight_decay=1e-4)
        self.optimizer_d = torch.optim.AdamW(self.discriminator.parameters(), self.args.discriminator_lr, betas, weight_decay=1e-4)
        self.scheduler_g = get_warmup_schedule(self.optimizer_g, self.args.warmup_steps, self.args.max_steps)
        self.scheduler_d = get_warmup_schedule(self.optimizer_d, self.args.warmup_steps, self.args.max_steps)

    def parts(self):
        names = ("generator", "discriminator", "ema_generator", "optimizer_g", "optimizer_d", "scheduler_g", "scheduler_d")
        return {name: getattr(self, name) for name in names}

    def get_train_dataloader(self):
        while True:
            order = torch.randperm(len(self.train_dataset))
            for index in order.split(self.args.per_device_train_batch_size):
                if len(index) == self.args.per_device_train_batch_size:
                    yield self.train_dataset[index]

    def call_event(self, event):
        for callback in self.callbacks:
            getattr(callback, event)(self.args, self.state, self)

    def compute_discriminator_loss(self, inputs):
        z = torch.randn(len(inputs), 6)
        with torch.no_grad():
            fakes = self.generator(z)
        inputs = inputs.clone().requires_grad_(True)
        real_logits, fake_logits = self.discriminator(inputs), self.discriminator(fakes)
        (gradient,) = torch.autograd.grad(real_logits.sum(), inputs, create_graph=True)
        r1 = gradient.pow(2).sum(dim=1).mean()
        return F.softplus(-real_logits).mean() + F.softplus(fake_logits).mean() + self.args.r1_gamma / 2 * r1

    def compute_generator_loss(self, z):
        return F.softplus(-self.discriminator(self.generator(z))).mean()

    def training_step(self, batches):
        accumulation = self.args.gradient_accumulation_steps
        reals = [next(batches) for _ in range(accumulation)]
        self.optimizer_d.zero_grad()
        for inputs in reals:
            loss = self.compute_discriminator_loss(inputs) / accumulation
            loss.backward()
        nn.utils.clip_grad_norm_(self.discriminator.parameters(), self.args.max_grad_norm)
        self.optimizer_d.step()
        self.scheduler_d.step()

        latents = [torch.randn(self.args.per_device_train_batch_size, 6) for _ in range(accumulation)]
        self.optimizer_g.zero_grad()
        for z in latents:
            loss = self.compute_generator_loss(z) / accumulation
            loss.backward()
        nn.utils.clip_grad_norm_(self.generator.parameters(), self.args.max_grad_norm)
        self.optimizer_g.step()
        self.scheduler_g.step()
        self.last_real, self.last_z = torch.cat(reals), torch.cat(latents)

    def train(self):
        self.call_event("on_train_begin")
        batches = self.get_train_dataloader()
        for _ in range(self.args.max_steps):
            self.training_step(batches)
            self.state.global_step += 1
            self.call_event("on_step_end")


args = TrainingArguments(max_steps=steps, seed=seed)
torch.manual_seed(args.seed)
trainer = GANTrainer(MLP(6, 2), MLP(2, 1), args, data.bows(4000), [EMACallback(), CheckpointCallback(), MonitorCallback()])
trainer.train()
