import fs from '../../sys/host-fs.js'
import { endianness } from 'node:os'
import { printable, systemReason, targetError, unsupported, type ImageError } from '../../errors.js'
import { command, type CommandResult } from '../../sys/commands.js'
import { currentUser } from '../../sys/self.js'
import { syscalls } from '../../sys/syscalls.js'
import { maxTransfer } from './protocol.js'

/** What a folder of ours is to the system: `mount` shows it as `fuse.vdisk`. */
const fuseType = 'fuse.vdisk'
const device = '/dev/fuse'

export interface FuseMount {
  /** An empty folder. */
  readonly point: string
  /** What `mount` shows as its source. */
  readonly name: string
  readonly readOnly: boolean
  /** Other users may look at the files too. */
  readonly others: boolean
}

/**
 * Mounts a FUSE folder and gives the descriptor of /dev/fuse by which it is served. Root goes through mount(8), others
 * through fusermount3.
 * Nothing is answered yet when this returns: whatever looks into the folder waits for the session.
 * @throws ImageError unsupported E_NO_FUSE; target E_MOUNT.
 */
export async function mountFuse(mount: FuseMount): Promise<number> {
  if (endianness() !== 'LE') throw unsupported('E_NO_FUSE', 'mounting works on little endian processors only')
  return currentUser().isRoot ? mountAsRoot(mount) : mountAsUser(mount)
}

async function mountAsRoot(mount: FuseMount): Promise<number> {
  const descriptor = openDevice()
  try {
    const options = [
      'fd=3',
      'rootmode=40000',
      'user_id=0',
      'group_id=0',
      `max_read=${maxTransfer}`,
      ...commonOptions(mount),
    ]
    // -i: no helper is asked, which would want a descriptor of its own.
    const result = await command('mount', ['-i', '-t', fuseType, '-o', options.join(','), mount.name, mount.point], {
      descriptors: [descriptor],
    })
    if (result.code !== 0) throw mountError(mount, result)
    return descriptor
  } catch (error) {
    fs.closeSync(descriptor)
    throw error
  }
}

function openDevice(): number {
  try {
    return fs.openSync(device, fs.constants.O_RDWR)
  } catch (cause) {
    throw noFuse(`${device} cannot be opened: ${systemReason(cause)}`)
  }
}

/** Mount options that the kernel always gets. */
function commonOptions({ readOnly, others }: FuseMount): string[] {
  return ['default_permissions', 'nosuid', 'nodev', readOnly ? 'ro' : 'rw', ...(others ? ['allow_other'] : [])]
}

/** The options of fusermount3, which takes a name's commas and backslashes escaped. */
export function userOptions(mount: FuseMount): string {
  return [
    `max_read=${maxTransfer}`,
    `fsname=${printable(mount.name).replace(/[\\,]/g, '\\$&')}`,
    'subtype=vdisk',
    ...commonOptions(mount),
  ].join(',')
}

/** Whether a user's folder can be mounted from this process; without system calls it takes the trampoline. */
export function canReceiveDescriptors(): boolean {
  return syscalls() !== undefined
}

async function mountAsUser(mount: FuseMount): Promise<number> {
  const calls = syscalls()
  const pair = calls?.socketPair()
  if (calls === undefined || pair === undefined)
    throw noFuse('mounting as an ordinary user needs the optional package koffi, or python3')
  const [ours, theirs] = pair
  try {
    let result: CommandResult
    try {
      result = await command('fusermount3', ['-o', userOptions(mount), '--', mount.point], {
        descriptors: [theirs],
        environment: { _FUSE_COMMFD: '3' },
      })
    } finally {
      fs.closeSync(theirs)
    }
    if (result.code === undefined) throw noFuse('fusermount3 is not installed (package fuse3)')
    const descriptor = result.code === 0 ? calls.receiveDescriptor(ours) : undefined
    if (descriptor === undefined) throw userMountError(mount, result)
    return descriptor
  } finally {
    fs.closeSync(ours)
  }
}

function userMountError(mount: FuseMount, result: CommandResult): ImageError {
  const refusedDevice = /\/dev\/fuse.*[Pp]ermission denied|[Pp]ermission denied.*\/dev\/fuse/.test(result.stderr)
  return refusedDevice
    ? noFuse(`${device} is not open to users here (usually it is, mode 0666)`)
    : mountError(mount, result)
}

function mountError({ point }: FuseMount, { stderr, code }: CommandResult): ImageError {
  return targetError(
    'E_MOUNT',
    `the folder ${point} cannot be mounted: ${stderr === '' ? `exit code ${code ?? 'none'}` : stderr}`,
  )
}

/** @returns the error that names what else can be done. */
export function noFuse(why: string): ImageError {
  return unsupported('E_NO_FUSE', `this system cannot mount: ${why}`, {
    hint:
      'Other ways: run it as root; read files with "vdisk ls", "vdisk cat" and "vdisk cp", which mount ' +
      'nothing; or "vdisk serve" and nbdfuse.',
  })
}

/** Takes a FUSE folder away. `lazy`: the folder only; what is open in it stays served until it is closed. */
export function unmountFuse(point: string, lazy: boolean): Promise<CommandResult> {
  return currentUser().isRoot
    ? command('umount', ['-i', ...(lazy ? ['-l'] : []), '--', point])
    : command('fusermount3', ['-u', ...(lazy ? ['-z'] : []), '--', point])
}

/** How the trampoline ends when it cannot mount. */
export const trampolineFailed = 71

/**
 * Mounts as a user and becomes the server, for systems without the calls that receive a descriptor: Python has them.
 * Parameters: point, options, and the program to become, which finds the descriptor's number in VDISK_FUSE_DESCRIPTOR.
 */
export const trampoline = `
import os, socket, subprocess, sys
point, options, *program = sys.argv[1:]
ours, theirs = socket.socketpair()
number = theirs.fileno()
command = ['fusermount3', '-o', options, '--', point]
environment = {**os.environ, '_FUSE_COMMFD': str(number)}
if subprocess.run(command, env=environment, pass_fds=[number]).returncode != 0: sys.exit(${trampolineFailed})
_, descriptors, _, _ = socket.recv_fds(ours, 1, 1)
os.set_inheritable(descriptors[0], True)
os.environ['VDISK_FUSE_DESCRIPTOR'] = str(descriptors[0])
os.execvp(program[0], program)
`
