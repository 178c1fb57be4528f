import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { testFolder } from './folder.js'
import { loopDevice } from './loop.js'
import { run } from './tools.js'

/** The kernel of the tests has neither device mapper nor ZFS: programs of their names, over loop devices. */
export interface FakeVolume {
  /** The device of the volume, an ext4 that is mounted for writing. */
  readonly device: string
  readonly point: string
  /** With the programs in front. */
  readonly path: string
  /** Commands that changed something, in order. */
  readonly log: () => string[]
  /** What of snapshots is there. */
  readonly snapshots: () => string[]
  /** Makes the programs do something else: `fail-make`, `fail-remove`, `full`, `lost`, `no-room`, `leftover`. */
  readonly set: (what: string) => void
  readonly unset: (what: string) => void
}

/** What both kinds do: a snapshot is a copy of the volume's file, behind a loop of its own that is read only. */
const shared = `#!/bin/bash
set -e
state=$(dirname "$0")/../state
. "$state/facts"
make() { # LINK
  [ ! -e "$state/fail-make" ] || { echo "  Insufficient suitable allocatable extents." >&2; exit 5; }
  if [ "$1" = held ]; then fsfreeze --freeze "$point"; shift; fi
  sync "$point" 2> /dev/null || true
  cp "$file" "$state/copy"
  fsfreeze --unfreeze "$point" 2> /dev/null || true
  mkdir -p "$(dirname "$1")"
  ln -s "$(losetup --find --show --read-only "$state/copy")" "$1"
  echo "$1" > "$state/made"
  [ ! -e "$state/lost" ] || truncate -s 20M "$state/copy"
}
remove() { # LINK
  [ ! -e "$state/fail-remove" ] || { echo "  Logical volume is in use." >&2; exit 5; }
  losetup --detach "$(readlink "$1")"
  rm "$1" "$state/made" "$state/copy"
}
`

const lvmPrograms = {
  lvs: `${shared}
for last; do :; done
case $last in
*/*)
  [ -e "/dev/$last" ] || { echo "  Failed to find logical volume \\"$last\\"" >&2; exit 5; }
  attr=sri-a-s---; [ ! -e "$state/full" ] || attr=sri-I-s---
  [ ! -e "$state/lost" ] || attr=sri-I-s---
  printf '  {\\n"report": [ {"lv": [ {"lv_attr":"%s"} ] } ] }\\n' $attr ;;
*)
  free=50331648; [ ! -e "$state/no-room" ] || free=0
  row() { # name attributes size origin major minor tags
    printf '{"vg_name":"%s", "lv_name":"%s", "lv_attr":"%s", "lv_size":"%s", "origin":"%s", ' $group "$1" "$2" "$3" "$4"
    printf '"vg_free":"%s", "vg_extent_size":"4194304", "lv_kernel_major":"%s", ' $free "$5"
    printf '"lv_kernel_minor":"%s", "lv_tags":"%s"}' "$6" "$7"
  }
  echo '  {"report": [ {"lv": ['
  row other -wi------- 4194304 "" -1 -1 ""; echo ,
  row root owi-aos--- $size "" $major $minor ""
  [ ! -e "$state/leftover" ] || { echo ,; row vdisk-1-old sri-a-s--- $size root 252 7 vdisk_snapshot; }
  echo ' ] } ] }' ;;
esac
`,
  lvcreate: `${shared}
echo "lvcreate $*" >> "$state/log"
while [ "$1" != --name ]; do shift; done
make held "/dev/$group/$2"
echo "  Logical volume \\"$2\\" created."
`,
  lvremove: `${shared}
echo "lvremove $*" >> "$state/log"
[ -e "/dev/$2" ] || { echo "  Failed to find logical volume \\"$2\\"" >&2; exit 5; }
remove "/dev/$2"
`,
}

const zfsPrograms = {
  zfs: `${shared}
for last; do :; done
case $1 in
list)
  case $last in
  name) echo "$group/other"; echo "$group/vol" ;;
  *@*) [ -e "$state/snapshot" ] || { echo "cannot open '$last': dataset does not exist" >&2; exit 1; } ;;
  *) [ -e "/dev/zvol/$last" ] || { echo "cannot open '$last': dataset does not exist" >&2; exit 1; } ;;
  esac ;;
*)
  echo "zfs $*" >> "$state/log"
  case $1-$last in
  snapshot-*) : > "$state/snapshot"; cp "$file" "$state/taken" ;;
  clone-*) make "/dev/zvol/$last"; cp "$state/taken" "$state/copy" ;;
  destroy-*@*) [ -e "$state/snapshot" ] || { echo "could not find any snapshots: dataset does not exist" >&2; exit 1; }
    rm "$state/snapshot" ;;
  destroy-*) [ -e "/dev/zvol/$last" ] || { echo "cannot open: dataset does not exist" >&2; exit 1; }
    remove "/dev/zvol/$last" ;;
  esac ;;
esac
`,
}

/** @param kind whose programs there are; the volume is `GROUP/root` of LVM, or `GROUP/vol` of ZFS. */
export async function withFakeVolume(
  t: TestContext,
  kind: 'lvm' | 'zfs',
  body: (volume: FakeVolume) => Promise<void>,
): Promise<void> {
  const folder = testFolder(t)
  const [bin, state, point, file] = ['bin', 'state', 'mounted', 'volume'].map((name) => join(folder, name)) as [
    string,
    string,
    string,
    string,
  ]
  for (const each of [bin, state, point]) fs.mkdirSync(each)
  fs.writeFileSync(file, new Uint8Array(48 * 1048576))
  run('mke2fs', '-q', '-F', '-t', 'ext4', file)
  const device = loopDevice(t, file)
  const group = `vdisktest${process.pid}${kind}`
  const [, major = '', minor = ''] = /(\d+), *(\d+)/.exec(run('ls', '-l', device)) ?? []
  const facts = { point, file, group, size: String(48 * 1048576), major, minor }
  fs.writeFileSync(
    join(state, 'facts'),
    Object.entries(facts)
      .map(([name, value]) => `${name}='${value}'\n`)
      .join(''),
  )
  for (const [name, text] of Object.entries(kind === 'lvm' ? lvmPrograms : zfsPrograms))
    fs.writeFileSync(join(bin, name), text, { mode: 0o755 })
  const links = kind === 'lvm' ? `/dev/${group}` : `/dev/zvol/${group}`
  if (kind === 'zfs') {
    fs.mkdirSync(links, { recursive: true })
    fs.symlinkSync(device, join(links, 'vol'))
  }
  run('mount', device, point)
  const snapshots = (): string[] => {
    const names = fs.existsSync(links) ? fs.readdirSync(links).filter((name) => name !== 'vol') : []
    return [...names, ...(fs.existsSync(join(state, 'snapshot')) ? ['snapshot'] : [])]
  }
  const volume: FakeVolume = {
    device,
    point,
    path: `${bin}:${process.env['PATH'] ?? ''}`,
    log: () =>
      fs.existsSync(join(state, 'log')) ? fs.readFileSync(join(state, 'log'), 'utf8').trim().split('\n') : [],
    snapshots,
    set: (what) => fs.writeFileSync(join(state, what), ''),
    unset: (what) => fs.rmSync(join(state, what), { force: true }),
  }
  try {
    await body(volume)
  } finally {
    spawnSync('fsfreeze', ['--unfreeze', point])
    run('umount', point)
    for (const name of fs.existsSync(links) ? fs.readdirSync(links) : [])
      if (name !== 'vol') spawnSync('losetup', ['--detach', fs.readlinkSync(join(links, name))])
    fs.rmSync(links, { recursive: true, force: true })
  }
}
