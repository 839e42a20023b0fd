type Task = () => void;

/** Tasks that run when no promise has anything left to do: a message to oneself arrives only then. */
class TaskQueue {
  readonly #tasks: Task[] = [];
  readonly #channel = new MessageChannel();

  constructor() {
    this.#channel.port1.addEventListener("message", () => this.#tasks.shift()?.());
    this.#channel.port1.start();
  }

  readonly add = (task: Task): void => {
    this.#tasks.push(task);
    this.#channel.port2.postMessage(null);
  };
}

const { add } = new TaskQueue();

/** What the simulation takes from Node's globals. Both come after all promises, and in the order in which they were asked for. */
export const setImmediate = add;
export const process = { nextTick: add };
