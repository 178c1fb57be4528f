import { systemLookup } from '../place.js'
import { failureOf, NoSnapshot, type Origin, type RunCommand, type SnapshotPlan, type SystemCommand } from './plan.js'

const list: SystemCommand = ['zfs', 'list', '-H', '-t', 'volume', '-o', 'name']

/** zfs(8), "Terminology": the names of datasets; no snapshot, and nothing that could be taken for a flag. */
const validName = /^[A-Za-z0-9][\w.: -]*(\/[\w.: -]+)+$/

/** Where ZFS names the devices of its volumes. */
const volumeFolder = '/dev/zvol'

/**
 * The plan of a snapshot of a volume of ZFS: the snapshot, and a clone of it, which has a device whatever `snapdev` of
 * the volume says. ZFS does not freeze a filesystem on the volume.
 * @param name of the snapshot, and of the clone within the pool. @param numberOf the device number of a node.
 */
export async function zfsPlan(
  origin: Origin,
  name: string,
  run: RunCommand,
  numberOf: (path: string) => string | undefined = (path) => systemLookup.node(path),
): Promise<SnapshotPlan | NoSnapshot> {
  const [program, ...parameters] = list
  const answer = await run(program, parameters)
  if (answer.code !== 0) return new NoSnapshot(failureOf(list, answer))
  const volume = answer.stdout
    .split('\n')
    .find((each) => validName.test(each) && numberOf(`${volumeFolder}/${each}`) === origin.deviceNumber)
  if (volume === undefined) return new NoSnapshot('it is no volume of ZFS')
  const snapshot = `${volume}@${name}`
  const clone = `${volume.slice(0, volume.indexOf('/'))}/${name}`
  const absent = /does not exist/
  const look = (dataset: string): SystemCommand => ['zfs', 'list', '-H', '-t', 'all', '-o', 'name', dataset]
  return {
    kind: 'zfs',
    origin: `the ZFS volume ${volume}`,
    parts: [
      {
        name: `the snapshot ${snapshot}`,
        make: ['zfs', 'snapshot', snapshot],
        remove: () => ['zfs', 'destroy', snapshot],
        look: () => look(snapshot),
        absent,
      },
      {
        name: `the clone ${clone}`,
        make: ['zfs', 'clone', '-o', 'readonly=on', '-o', 'volmode=dev', snapshot, clone],
        remove: () => ['zfs', 'destroy', clone],
        look: () => look(clone),
        absent,
      },
    ],
    holds: () => false,
    pathOf: () => `${volumeFolder}/${clone}`,
    leftovers: [],
  }
}
