/** Which folders of src/ a folder may import, besides itself and src/errors.ts. Arrows only point down. */
export const layers = {
  commands: ['cli', 'operations'],
  cli: ['formats'],
  operations: ['formats', 'partition', 'engine', 'block', 'codec', 'binary', 'sys'],
  formats: ['block', 'codec', 'binary', 'sys'],
  partition: ['block', 'binary'],
  engine: ['block', 'codec', 'binary', 'sys'],
  codec: ['block', 'binary'],
  block: ['binary', 'sys'],
  sys: [],
  binary: [],
}
