import { printable, usage, type HostPath } from '../../errors.js'
import { finish, perform } from '../../block/work.js'
import type { OpenedImage, OpenOptions } from '../../formats/open.js'
import { Registry } from '../../formats/registry.js'
import { shellWord } from '../../sys/shell-word.js'
import { openAddressWork, parseImageArgument, performing, type LaterOptions } from './opening.js'

/**
 * An argument that must name an image as a whole. @param why what the operation works on, for the message.
 * @throws ImageError usage E_WHOLE_IMAGE when it names a partition.
 */
export function wholeImage(argument: string, why: string): void {
  if (parseImageArgument(argument).partition !== undefined)
    throw usage('E_WHOLE_IMAGE', why, { hint: 'Leave out what follows the @.' })
}

/** Opens an image with its chain, wherever its address leads. @throws ImageError */
export function openAddress(address: string, options: OpenOptions): OpenedImage {
  return finish(openAddressWork(address, options))
}

/** As {@link openAddress}, letting signals through, with progress: it may have to be unpacked first. */
export async function openAddressLater(
  address: string,
  options: OpenOptions,
  later: LaterOptions,
): Promise<OpenedImage> {
  return await perform(openAddressWork(address, options), performing(later))
}

/**
 * The path of an image that is changed, or that other images are to name: a file of this computer.
 * @throws ImageError usage E_NOT_A_FILE when its address leads elsewhere.
 */
export function localFile(address: string, { registry = new Registry() }: Pick<OpenOptions, 'registry'>): HostPath {
  const { schemes } = registry
  const location = schemes.locate(address)
  if (location.member !== undefined)
    throw usage('E_NOT_A_FILE', `${printable(address)} is a disk inside another file, not an image file of its own`, {
      hint: `Convert it first: vdisk convert ${shellWord(address)} disk.qcow2`,
    })
  if (location.path !== undefined) return location.path
  throw usage('E_NOT_A_FILE', `${location.label} is ${schemes.of(address).title}, not an image file of this computer`, {
    hint: `Copy it to a file first: vdisk convert ${shellWord(location.address)} disk.qcow2`,
  })
}
