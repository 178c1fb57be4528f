/** Which folders of src/ a folder may import, besides itself and src/errors.ts. Arrows only point down. */
export const layers = {
  commands: ['cli', 'operations'],
  servers: ['operations'],
  cli: ['formats', 'operations'],
  operations: ['formats', 'partition', 'filesystem', 'device', 'mount', 'engine', 'block', 'codec', 'binary', 'sys'],
  formats: ['block', 'codec', 'binary', 'sys'],
  partition: ['block', 'binary'],
  filesystem: ['block', 'codec', 'binary'],
  device: ['block', 'binary', 'sys'],
  mount: ['block', 'codec', 'binary', 'sys'],
  engine: ['block', 'codec', 'binary', 'sys'],
  codec: ['block', 'binary'],
  block: ['binary', 'sys'],
  sys: [],
  binary: [],
}
