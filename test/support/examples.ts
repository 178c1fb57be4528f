/**
 * Which examples of the help a test runs (test/e2e/examples.test.ts), by the command's id and the numbers of its
 * examples; of a command that is not listed, the first. Those that are not run need a server, a second computer or
 * files that take long to make; each command has at least one.
 */
const chosen: Readonly<Record<string, readonly number[]>> = {
  batch: [0, 1],
  cat: [0, 1],
  'chain:commit': [0, 1],
  'chain:flatten': [0, 1],
  'chain:rebase': [0, 1],
  'chain:show': [0, 2],
  check: [0, 1, 2],
  clone: [1],
  compact: [0, 1],
  compare: [0, 1, 2, 3],
  convert: [0, 1, 2, 3, 4, 7, 8],
  cp: [0, 2],
  create: [0, 1, 2],
  disks: [0, 1, 2],
  doctor: [0, 1, 2, 3, 5],
  formats: [0, 1],
  hash: [0, 1, 3],
  image: [4],
  info: [0, 1, 2],
  inspect: [0, 1, 2, 3],
  ls: [0, 1, 2],
  map: [0, 2],
  measure: [0, 1, 2],
  mount: [4],
  mounts: [0, 1],
  'partition:convert': [1],
  'partition:extract': [0, 1, 2],
  'partition:fix': [0, 1, 2],
  'partition:inject': [0, 2],
  'partition:list': [0, 1],
  platforms: [0, 1, 2],
  repair: [0, 1, 2],
  resize: [0, 1],
  restore: [1],
  'snapshot:delete': [0, 1],
  'snapshot:list': [0, 1],
  unmount: [1],
  view: [0, 1],
}

/** The numbers of the examples that are run. */
export function examplesRun(id: string): readonly number[] {
  return chosen[id] ?? [0]
}
